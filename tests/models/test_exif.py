"""models/exif.py, against the blocks that Pillow writes."""

import struct

import pytest
from PIL import Image

from models.exif import orientation


def block(value: int) -> bytes:
    """An EXIF block as Pillow writes it."""
    exif = Image.Exif()
    exif[0x010F] = "a maker"
    exif[0x0112] = value
    exif[0x8769] = {0xA002: 3}
    return exif.tobytes()


@pytest.mark.parametrize("value", range(1, 9))
def test_the_orientation_is_found(value: int) -> None:
    """Behind other tags, with and without the leading name, in both byte orders."""
    assert orientation(block(value)) == value
    assert orientation(block(value).removeprefix(b"Exif\0\0")) == value
    big = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, value, 0, 0)
    assert orientation(big) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"Exif\0\0",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"garbage" * 100,
        block(0),
        block(9),
        b"II*\0" + struct.pack("<IHHHII", 8, 1, 0x0112, 4, 1, 6),  # a long, not a short
        b"II*\0" + struct.pack("<IHHHII", 8, 1, 0x0112, 3, 2, 6),  # two of them
        b"II*\0" + struct.pack("<IH", 8, 65_535) + bytes(12) * 2_000 + struct.pack("<HHII", 0x0112, 3, 1, 6),
    ],
)
def test_anything_else_is_upright(data: bytes) -> None:
    """Damaged, impossible or endless metadata is no reason to turn or to refuse an image."""
    assert orientation(data) == 1
