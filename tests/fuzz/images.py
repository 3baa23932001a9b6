"""Image files that are almost right: valid ones, damaged where parsers look."""

import random
import struct
import zlib
from functools import cache

import numpy as np
from PIL import Image

from tests.factories import encode, make_image

_INTERESTING = (0, 1, 2, 7, 8, 16, 127, 128, 255, 256, 32_767, 32_768, 65_535, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
_MAX_BYTES = 200_000


@cache
def seeds() -> tuple[bytes, ...]:
    """One small file of each kind that a format has, allowed or not."""
    exif = Image.Exif()
    exif[0x0112] = 6
    colour, grey = make_image(40, 30, "RGB", seed=1), make_image(33, 47)
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    frames = [make_image(20, 20, "RGB", seed=n) for n in range(4)]
    return (
        *(encode(colour, name) for name in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "ICO")),
        *(encode(colour.convert(mode)) for mode in ("1", "P", "RGBA", "LA")),
        encode(deep),
        encode(colour.quantize(7), transparency=0),
        encode(colour, "JPEG", progressive=True, exif=exif, comment=b"a comment"),
        encode(colour.convert("CMYK"), "JPEG"),
        encode(grey, "JPEG", icc_profile=bytes(300)),
        encode(colour, "WEBP", lossless=True, exif=exif),
        encode(colour.convert("RGBA"), "WEBP", quality=50),
        *(encode(frames[0], name, save_all=True, append_images=frames[1:]) for name in ("PNG", "WEBP", "GIF")),
        encode(make_image(300, 200, "RGB")),
        encode(make_image(300, 200, "RGB"), "JPEG"),
        encode(colour, exif=exif),
        b"",
        b"%PDF-1.7",
        b"<svg/>",
    )


def mutated(chance: random.Random) -> bytes:
    """A file with one to eight things done to it; one in ten is left as it is."""
    data = bytearray(chance.choice(seeds()))
    if chance.random() < 0.1:
        return bytes(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        data = chance.choice(_MUTATIONS)(data, chance)
    if chance.random() < 0.5 and data[:4] == b"\x89PNG":
        data = _with_checksums(data)  # so that what is behind a checksum is reached
    return bytes(data[:_MAX_BYTES])


def _flip(data: bytearray, chance: random.Random) -> bytearray:
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return data


def _set_number(data: bytearray, chance: random.Random) -> bytearray:
    """Write a number that parsers stumble over, often into the header."""
    if len(data) < 8:
        return data
    place = chance.randrange(min(len(data) - 4, chance.choice((40, 300, len(data)))))
    number, size = chance.choice(_INTERESTING), chance.choice((1, 2, 4))
    raw = (number % 2 ** (8 * size)).to_bytes(size, chance.choice(("big", "little")))
    data[place : place + size] = raw
    return data


def _cut(data: bytearray, chance: random.Random) -> bytearray:
    return data[: chance.randrange(len(data) + 1)]


def _remove(data: bytearray, chance: random.Random) -> bytearray:
    start = chance.randrange(len(data) + 1)
    del data[start : start + chance.choice((1, 4, 12, 100))]
    return data


def _repeat(data: bytearray, chance: random.Random) -> bytearray:
    start = chance.randrange(len(data) + 1)
    piece = data[start : start + chance.choice((1, 4, 12, 60, 500))]
    return data[:start] + piece * chance.choice((2, 10, 200)) + data[start:]


def _insert(data: bytearray, chance: random.Random) -> bytearray:
    start = chance.randrange(len(data) + 1)
    return data[:start] + chance.randbytes(chance.choice((1, 4, 50))) + data[start:]


def _splice(data: bytearray, chance: random.Random) -> bytearray:
    other = chance.choice(seeds())
    return data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :]


_MUTATIONS = (_flip, _flip, _set_number, _set_number, _cut, _remove, _repeat, _insert, _splice)


def _with_checksums(data: bytearray) -> bytearray:
    """Make every chunk's checksum right again, as far as chunks can be found."""
    position = 8
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        end = position + 8 + length
        if end + 4 > len(data):
            break
        data[end : end + 4] = struct.pack(">I", zlib.crc32(data[position + 4 : end]))
        position = end + 4
    return data
