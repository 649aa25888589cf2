"""Signed files, read by C2PA's own reader: who made them, that nothing was changed since."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

c2pa = pytest.importorskip("c2pa", reason="c2pa-python is not installed")
from certificates import Certified, certified  # noqa: E402
from limner.errors import DataError, UsageError  # noqa: E402
from limner.generation.files import picture_bytes  # noqa: E402
from limner.generation.formats import PictureFormat  # noqa: E402
from limner.generation.picture import Picture  # noqa: E402
from limner.generation.provenance import ContentSigner  # noqa: E402
from limner.generation.records import read_record  # noqa: E402
from limner.models.settings import Settings  # noqa: E402

KINDS = [PictureFormat.PNG, PictureFormat.WEBP, PictureFormat.JPEG]


@pytest.fixture(scope="module")
def owned(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    return certified(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def signer(owned: Certified) -> ContentSigner:
    return ContentSigner(owned.certificate, owned.key)


def drawn() -> Picture:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    return Picture(Image.fromarray(pixels), "ein roter Apfel 🍎", 7, "0" * 16, Settings())


def manifest(data: bytes, kind: str, owned: Certified) -> tuple[str, dict[str, Any]]:
    """How the reader judges a file, and its manifest."""
    trust = {"trust": {"trust_anchors": owned.authority.read_text()}}
    context = c2pa.Context(settings=c2pa.Settings.from_dict(trust))
    reader = c2pa.Reader(f"image/{kind}", io.BytesIO(data), context=context)
    return reader.get_validation_state(), reader.get_active_manifest()


@pytest.mark.parametrize("kind", KINDS)
def test_the_reader_trusts_a_signed_file_and_finds_what_was_changed(kind, signer, owned, tmp_path):
    plain = picture_bytes(drawn(), kind)
    signed = picture_bytes(drawn(), kind, signer=signer)
    state, found = manifest(signed, kind, owned)
    assert state == "Trusted"
    (action,) = found["assertions"][0]["data"]["actions"]
    assert action["action"] == "c2pa.created"
    assert action["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert action["parameters"] == {"org.limner.prompt": "ein roter Apfel 🍎"}
    assert found["claim_generator_info"][0]["name"] == "limner"
    assert len(signed) - len(plain) < 8000
    path = tmp_path / f"signed{kind.ending}"
    path.write_bytes(signed)
    assert (read_record(path).prompt, read_record(path).seed) == ("ein roter Apfel 🍎", 7)
    pixels = [np.asarray(Image.open(io.BytesIO(data))) for data in (plain, signed)]
    assert np.array_equal(*pixels)
    changed = bytearray(signed)
    changed[len(signed) // 2] ^= 1
    assert manifest(bytes(changed), kind, owned)[0] == "Invalid"


def test_another_authority_is_not_trusted(signer, tmp_path):
    signed = picture_bytes(drawn(), PictureFormat.PNG, signer=signer)
    assert manifest(signed, "png", certified(tmp_path))[0] == "Valid"


def test_an_svg_cannot_be_signed(signer):
    with pytest.raises(UsageError, match="choose png, webp, jpeg or gif"):
        picture_bytes(drawn(), PictureFormat.SVG, signer=signer)


def test_what_cannot_sign_is_named_before_anything_is_drawn(owned, tmp_path):
    other, words = certified(tmp_path / "other"), tmp_path / "words.pem"
    words.write_text("no key")
    for certificate, key, said in (
        (owned.certificate, other.key, "signature is not valid"),
        (owned.authority, owned.key, "self-signed"),
        (words, owned.key, "nothing can be signed"),
        (owned.certificate, words, "is no private key"),
        (tmp_path / "none.pem", owned.key, "cannot read"),
    ):
        with pytest.raises(DataError, match=said):
            ContentSigner(certificate, key)


def test_signed_on_the_command_line_and_drawn_again(cli, owned, tmp_path, own_cache):
    sign = ["--c2pa", owned.certificate, "--c2pa-key", owned.key]
    assert cli("generate", "a red heart", "--seed", "3", "--out", "heart.png", *sign).code == 0
    path = tmp_path / "heart.png"
    assert manifest(path.read_bytes(), "png", owned)[0] == "Trusted"
    again = cli("replay", "heart.png", "--out", "again.png")
    assert (again.code, again.err) == (0, "")
    assert np.array_equal(np.asarray(Image.open(path)), np.asarray(Image.open("again.png")))
    refused = cli("generate", "a cat", "--format", "svg", "--out", "a.svg", *sign)
    assert refused.code == 2 and "choose png" in refused.err
    alone = cli("generate", "a cat", *sign[:2])
    assert alone.code == 2 and "--c2pa-key KEY.pem" in alone.err
