"""Small ICC profiles (ICC.1:2001-04), built tag by tag, so that the right colours are known."""

from __future__ import annotations

import itertools
import struct

_D50 = (0.9642, 1.0, 0.8249)
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))


def _fixed(values: tuple[float, ...]) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(values)


def _curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    text = b"made for a test\0"
    name = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78)
    tags = {b"desc": name, b"wtpt": _xyz(_D50), b"cprt": b"text\0\0\0\0CC0\0", **tags}
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for sign, data in tags.items():
        padded = data + bytes(-len(data) % 4)
        table += sign + struct.pack(">II", at + len(body), len(data))
        body += padded
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"lcms", 0x02100000, kind, space, connection)
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed(_D50)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def rgb_profile(gamma: float = 2.19921875, primaries: object = ADOBE_RGB) -> bytes:
    """Three primaries (columns of the matrix to XYZ, adapted to D50) and one exponent."""
    tags = {}
    for letter, primary in zip((b"r", b"g", b"b"), primaries, strict=True):
        tags |= {letter + b"XYZ": _xyz(primary), letter + b"TRC": _curve(gamma)}
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def grey_profile(gamma: float) -> bytes:
    """Grey samples of one exponent."""
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": _curve(gamma)})


def cmyk_profile(cyan: tuple[int, int, int]) -> bytes:
    """Inks of which cyan prints the given Lab colour (8-bit code), black prints black."""
    ramp = bytes(range(256))
    cells = b""
    for c, _, _, k in itertools.product((0, 1), repeat=4):
        cells += bytes((0, 128, 128) if k else cyan if c else (255, 128, 128))
    lut = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + _fixed((1, 0, 0, 0, 1, 0, 0, 0, 1))
    lut += ramp * 4 + cells + ramp * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": lut, b"A2B1": lut})
