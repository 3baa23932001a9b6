"""models/header.py: format and size from the first bytes, against what Pillow says of the same files."""

import struct
import zlib

import pytest

from models.errors import InvalidImage
from models.header import MAX_BESIDE, MAX_CHUNKS, MAX_COMPRESSED, MAX_PIECES, MAX_SEGMENTS, Header, read, sniff
from tests.factories import encode, make_image


def test_sniffing_knows_the_formats_that_pillow_writes() -> None:
    """The signatures agree with the encoders."""
    for file_format in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "ICO"):
        assert sniff(encode(make_image(32, 32), file_format)) == file_format


@pytest.mark.parametrize("size", [(1, 1), (37, 211), (300, 1), (1025, 513)])
@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"exif": b"Exif\0\0" + bytes(60_000), "comment": b"\xff\xc0" * 1000}),
        ("PNG", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"exif": b"Exif\0\0"}),  # VP8X
        ("GIF", {}),
        ("BMP", {}),
    ],
)
def test_the_size_is_the_one_that_was_written(
    size: tuple[int, int], file_format: str, options: dict[str, object]
) -> None:
    """In every format and layout, with metadata before it that looks like more than it is."""
    data = encode(make_image(*size, mode="RGB"), file_format, **options)

    assert read(data, file_format) == Header(file_format, *size, progressive="progressive" in options)


def test_bitmaps_of_every_kind() -> None:
    """The short header of OS/2, and rows from the top, whose height is negative."""
    data = encode(make_image(30, 20), "BMP")
    upside_down = data[:22] + struct.pack("<i", -20) + data[26:]
    old = data[:14] + struct.pack("<IHHHH", 12, 30, 20, 1, 8) + bytes(100)

    assert read(upside_down, "BMP") == read(old, "BMP") == read(data, "BMP") == Header("BMP", 30, 20)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_a_header_that_is_cut_is_no_header(file_format: str) -> None:
    """At every length; never another size, never another error."""
    data = encode(make_image(32, 32), file_format)
    whole = read(data, file_format)

    for length in range(700):
        try:
            assert read(data[:length], file_format) == whole
        except InvalidImage:
            continue


def chunks(kind: bytes, count: int) -> bytes:
    """So many empty ones of a kind."""
    return struct.pack(">I4sI", 0, kind, zlib.crc32(kind)) * count


PNG = encode(make_image())
PIXELS_AT = PNG.index(b"IDAT") - 4


@pytest.mark.parametrize(
    ("kind", "at", "most", "message"),
    [
        (b"tEXt", 33, MAX_BESIDE - 1, "4,096 chunks beside its picture"),  # IHDR is one, too
        (b"fcTL", 33, MAX_BESIDE - 1, "4,096 chunks beside its picture"),
        (b"tEXt", -12, MAX_BESIDE - 1, "4,096 chunks beside its picture"),
        (b"iCCP", 33, MAX_COMPRESSED, "16 compressed chunks"),
        (b"zTXt", 33, MAX_COMPRESSED, "16 compressed chunks"),
        (b"iTXt", -12, MAX_COMPRESSED, "16 compressed chunks"),
        (b"IDAT", PIXELS_AT, MAX_PIECES - 1, "4,096 pieces"),
        (b"IDAT", -12, MAX_PIECES - 1, "4,096 pieces"),
        (b"fdAT", -12, MAX_CHUNKS - 2, "32,768 chunks"),
    ],
)
def test_chunks_without_end_are_refused(kind: bytes, at: int, most: int, message: str) -> None:
    """They would keep Pillow busy for seconds; up to the limit they are not."""
    assert read(PNG[:at] + chunks(kind, most) + PNG[at:], "PNG") == Header("PNG", 28, 28)
    with pytest.raises(InvalidImage, match=f"more than {message}"):
        read(PNG[:at] + chunks(kind, most + 1) + PNG[at:], "PNG")


def test_what_follows_the_end_of_a_png_is_no_part_of_it() -> None:
    """Padding, another file."""
    assert read(PNG + bytes(2_000_000), "PNG") == Header("PNG", 28, 28)


def test_segments_without_end_are_refused() -> None:
    """The same of a JPEG, and junk between its segments."""
    data = encode(make_image(), "JPEG")
    empty = b"\xff\xfe\0\2"

    assert read(data[:2] + empty * 1_000 + data[2:], "JPEG") == Header("JPEG", 28, 28)
    with pytest.raises(InvalidImage, match="more than 4,096 segments"):
        read(data[:2] + empty * MAX_SEGMENTS + data[2:], "JPEG")
    with pytest.raises(InvalidImage, match="not a readable JPEG"):
        read(data[:2] + bytes(1_000_000) + data[2:], "JPEG")


@pytest.mark.parametrize("field", [16, 20])
def test_an_image_without_pixels_is_refused(field: int) -> None:
    """No width, or no height."""
    data = encode(make_image())

    with pytest.raises(InvalidImage):
        read(data[:field] + bytes(4) + data[field + 4 :], "PNG")
