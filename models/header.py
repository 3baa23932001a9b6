"""What the first bytes of an image file say: its format and its size. Read here and not by Pillow, so that a refusal
costs microseconds and no memory, and so that a file that only keeps a parser busy never reaches one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from models.errors import InvalidImage

# Leading bytes of the formats that can be allowed, then of those that are only recognised, to be refused by name.
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"8BPS", "PSD"),
    (b"%PDF", "PDF"),
    (b"%!PS", "EPS"),
    (b"\xc5\xd0\xd3\xc6", "EPS"),
    (b"\0\0\1\0", "ICO"),
    (b"SIMPLE  =", "FITS"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"<svg", "SVG"),
)
# Of a PNG's chunks. Each costs Pillow's parser microseconds in Python, and what is compressed beside the picture up to
# a megabyte unpacked. Frames after the first are only counted: they end its work.
MAX_CHUNKS = 32_768
MAX_PIECES = 4_096  # of the picture; encoders write 8 KiB and more at a time
MAX_BESIDE = 4_096  # that are no part of it
MAX_COMPRESSED = 16  # among these
MAX_SEGMENTS = 4_096  # of a JPEG before its first scan, and bytes between them that belong to none
# Of a JPEG: ten bytes make a scan, and each has libjpeg walk through the whole picture, for up to 10 ms where it has 16
# million pixels, and up to 45 ms if it is arithmetic coded. Either way they cost a second at most. Encoders write up to
# 18 (CMYK), scripts for them some dozens.
MAX_SCANS = 100
MAX_ARITHMETIC_SCANS = 25

_FRAMES = frozenset({b"fcTL", b"fdAT"})  # PNG 3rd edition, 11.3.6
_COMPRESSED = frozenset({b"iCCP", b"zTXt", b"iTXt"})  # the same, 11.3.2.3 and 11.3.3
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # ITU-T T.81, table B.1
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_ARITHMETIC = frozenset(range(0xC9, 0xD0))
_START_OF_SCAN, _END = 0xDA, 0xD9
_STANDALONE = frozenset({0x01, 0xC8, *range(0xD0, 0xD9), *range(0xF0, 0xFE)})  # for Pillow; some are errors to libjpeg
_SCAN = b"\xff\xda\0"  # its length is below 256, or libjpeg ends there


@dataclass(frozen=True, slots=True)
class Header:
    """Format and size in pixels; of a JPEG, whether it is progressive, which cannot be decoded at reduced scale.

    One of several scans counts as such: libjpeg keeps it whole, too, until the last has come.
    """

    format: str
    width: int
    height: int
    progressive: bool = False


def sniff(data: bytes) -> str | None:
    """Return the format that the leading bytes of *data* declare, or None if they are no known image format."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return "AVIF or HEIF"
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            return name
    return None


def read(data: bytes, name: str) -> Header:
    """Return the header of a file of the format *name*; raises `InvalidImage` when it is not whole or not sane."""
    try:
        header = _READERS[name](data)
    except IndexError:  # it ends too early
        header = None
    if header is None or not header.width or not header.height:
        raise InvalidImage(f"not a readable {name} file")
    return header


def _png(data: bytes) -> Header | None:
    """PNG 3rd edition, 11.2.1; whatever follows, there may not be chunks without end."""
    if len(data) < 33 or data[12:16] != b"IHDR":
        return None
    position, end, chunks = 8, len(data) - 12, 0
    pieces = beside = compressed = 0
    while position <= end and chunks <= MAX_CHUNKS and (kind := data[position + 4 : position + 8]) != b"IEND":
        chunks += 1
        if kind == b"IDAT":
            pieces += 1
        elif not (pieces and kind in _FRAMES):
            beside += 1
            compressed += kind in _COMPRESSED
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    for count, most, what in (
        (chunks, MAX_CHUNKS, "chunks"),
        (pieces, MAX_PIECES, "pieces"),
        (beside, MAX_BESIDE, "chunks beside its picture"),
        (compressed, MAX_COMPRESSED, "compressed chunks beside its picture"),
    ):
        if count > most:
            raise InvalidImage(f"a PNG file of more than {most:,} {what}")
    return Header("PNG", _big(data, 16, 4), _big(data, 20, 4))


def _jpeg(data: bytes) -> Header | None:
    """ITU-T T.81, B.2.2 and B.2.3: the frame header and the first scan's, among tables and application data."""
    header, components, most = None, 0, MAX_SCANS
    for kind, start in _segments(data):
        if kind in _START_OF_FRAME and header is None:
            header = Header("JPEG", _big(data, start + 5, 2), _big(data, start + 3, 2), kind in _PROGRESSIVE)
            components = data[start + 7]
            most = MAX_ARITHMETIC_SCANS if kind in _ARITHMETIC else MAX_SCANS
        elif kind == _START_OF_SCAN and header is not None:
            if not header.progressive and data[start + 2] >= components:
                return header  # libjpeg takes no second scan
            _check_scans(data, start - 2, most)
            return replace(header, progressive=True)
        elif kind in (_START_OF_SCAN, _END):
            return None
    return header


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield each segment's marker and where its length stands."""
    position = 2
    for _ in range(MAX_SEGMENTS):
        after = position + MAX_SEGMENTS
        position = data.find(b"\xff", position, after)
        if position < 0 and after < len(data):
            yield _END, after  # nothing but junk
        if position < 0 or position + 4 > len(data):
            return
        kind = data[position + 1]
        if kind in (0x00, 0xFF):  # stuffing, padding
            position += 1
        elif kind in _STANDALONE:
            position += 2
        else:
            yield kind, position + 2
            position += 2 + _big(data, position + 2, 2)
    raise InvalidImage(f"a JPEG file of more than {MAX_SEGMENTS:,} segments before its picture")


def _check_scans(data: bytes, position: int, most: int) -> None:
    """Refuse scans without end. What only looks like one, in a thumbnail behind the first or after the end, counts too.

    To tell them apart a hostile file can make as slow as what it is to prevent, and no encoder writes that many there.
    """
    if data.count(_SCAN, position) > most:
        raise InvalidImage(f"a JPEG file of more than {most} scans")


def _webp(data: bytes) -> Header | None:
    """RFC 9649, 2.5 to 2.7."""
    if len(data) < 30:
        return None
    kind = data[12:16]
    if kind == b"VP8X":
        return Header("WEBP", 1 + _little(data, 24, 3), 1 + _little(data, 27, 3))
    if kind == b"VP8L":
        bits = _little(data, 21, 4)
        return Header("WEBP", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    return Header("WEBP", _little(data, 26, 2) & 0x3FFF, _little(data, 28, 2) & 0x3FFF)


def _gif(data: bytes) -> Header | None:
    """Read the logical screen; a frame that exceeds it is found by Pillow."""
    return Header("GIF", _little(data, 6, 2), _little(data, 8, 2)) if len(data) >= 13 else None


def _bmp(data: bytes) -> Header | None:
    """Read the 12-byte header of OS/2, or the longer one of Windows, whose height is negative when rows go down."""
    if len(data) < 26:
        return None
    if _little(data, 14, 4) == 12:
        return Header("BMP", _little(data, 18, 2), _little(data, 20, 2))
    return Header("BMP", _little(data, 18, 4), abs(int.from_bytes(data[22:26], "little", signed=True)))


def _big(data: bytes, position: int, size: int) -> int:
    return int.from_bytes(data[position : position + size], "big")


def _little(data: bytes, position: int, size: int) -> int:
    return int.from_bytes(data[position : position + size], "little")


_READERS = {"PNG": _png, "JPEG": _jpeg, "WEBP": _webp, "GIF": _gif, "BMP": _bmp}
