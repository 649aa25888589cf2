"""Signed provenance: a C2PA manifest in a picture file says that a model drew it.

The C2PA specification, version 2.2 (https://spec.c2pa.org), by the package ``c2pa-python``. The
manifest is signed over the whole file but itself, so also over the record in it.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

import limner
from limner.errors import DataError, MissingExtraError, UsageError, first_line

_MODEL_DREW_IT = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""The IPTC's term for what a generative model made."""
_KINDS = ("png", "webp", "jpeg", "gif")
_SETTINGS = {"builder": {"thumbnail": {"enabled": False}}, "verify": {"verify_after_sign": False}}


class ContentSigner:
    """Puts signed manifests into picture files.

    Args:
        certificate: PEM file of the signer's certificate and those above it, but for the root's.
        key: PEM file of the certificate's private key: P-256, P-384, P-521, Ed25519 or RSA.

    Raises:
        DataError: they cannot be read, or nothing can be signed with them.
        MissingExtraError: the package for it is not installed.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        try:
            import c2pa
        except ImportError as error:
            raise MissingExtraError("c2pa-python", "c2pa", "signing pictures") from error
        self._c2pa = c2pa
        self._context = c2pa.Context(settings=c2pa.Settings.from_dict(_SETTINGS))
        try:
            self._certificate = certificate.read_bytes()
        except OSError as error:
            raise DataError(f"cannot read {certificate}: {error.strerror or error}") from error
        self._algorithm, self._key = _read_key(key)
        blank = BytesIO()
        Image.new("RGB", (8, 8)).save(blank, "PNG")
        try:  # nothing is drawn before it is known that it can be signed
            signed = self.sign(blank.getvalue(), "png")
            manifest = c2pa.Reader("image/png", BytesIO(signed), context=self._context)
            wrong = [
                each["explanation"] for each in
                (manifest.get_validation_results() or {})["activeManifest"]["failure"]
                if each["code"] != "signingCredential.untrusted"
            ]  # fmt: skip
        except c2pa.C2paError as error:
            wrong = [first_line(error)]
        if wrong:
            raise DataError(
                f"nothing can be signed with {certificate} and {key}: {wrong[0]}; give a "
                "certificate for signing documents or mail, and its own key"
            )

    @staticmethod
    def check_kind(kind: str) -> None:
        """Refuse formats whose files cannot be signed.

        Raises:
            UsageError: it is another than PNG, WebP, JPEG or GIF.
        """
        if kind not in _KINDS:
            raise UsageError(
                f"a signed manifest would push the record out of an {kind} file: choose "
                f"{', '.join(_KINDS[:-1])} or {_KINDS[-1]}, or do not sign"
            )

    def sign(self, data: bytes, kind: str, prompt: str | None = None) -> bytes:
        """A picture file with a manifest.

        Args:
            data: the file.
            kind: png, webp, jpeg or gif.
            prompt: that is said in the manifest, too; None to leave it out.

        Raises:
            UsageError: the format cannot be signed.
        """
        self.check_kind(kind)
        made_by = {"name": "limner", "version": limner.__version__}
        action: dict[str, Any] = {
            "action": "c2pa.created", "digitalSourceType": _MODEL_DREW_IT, "softwareAgent": made_by,
        }  # fmt: skip
        if prompt is not None:
            action["parameters"] = {"org.limner.prompt": prompt}
        manifest = {
            "claim_generator_info": [made_by],
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
        }
        # A signer of its own for each file: several threads may sign at once.
        info = self._c2pa.C2paSignerInfo(self._algorithm, self._certificate, self._key, None)
        signed, media_type = BytesIO(), f"image/{kind}"
        with (
            self._c2pa.Signer.from_info(info) as signer,
            self._c2pa.Builder(manifest, self._context) as builder,
        ):
            builder.sign(signer, media_type, BytesIO(data), signed)
        return signed.getvalue()


def _read_key(path: Path) -> tuple[bytes, bytes]:
    """The name of a private key's algorithm, and the key in PKCS 8."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )

    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise DataError(
            f"{path} is no private key that can be used: give one in PEM, without a password"
        ) from error
    if isinstance(key, ec.EllipticCurvePrivateKey):
        name = {256: b"es256", 384: b"es384", 521: b"es512"}.get(key.curve.key_size)
    else:
        name = {True: b"ps256"}.get(isinstance(key, rsa.RSAPrivateKey))
        name = b"ed25519" if isinstance(key, ed25519.Ed25519PrivateKey) else name
    if name is None:
        raise DataError(
            f"{path} is a key that C2PA does not allow: give a P-256, Ed25519 or RSA key"
        )
    return name, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
