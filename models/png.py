"""A short way through the PNG files that are most common and smallest, for which reading the chunks costs more than
decoding the pixels. It only ever takes a file that it fully understands; everything else is Pillow's own reader's.
"""

import struct
import zlib
from typing import Final

from PIL import Image

MAX_PIXELS: Final = 16_384  # 128 × 128; above, decoding dominates and there is nothing to win
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_HEADER: Final = struct.Struct(">I4sIIBBBBB")  # …, width, height, depth, colour type, compression, filter, interlace
_CHUNK: Final = struct.Struct(">I4s")
_MODES: Final = {(8, 0, 0, 0, 0): "L", (8, 2, 0, 0, 0): "RGB"}
# chunks that say nothing about how the pixels are to be shown here (PNG 3rd edition, section 11.3)
_IGNORED: Final = frozenset({b"tEXt", b"tIME", b"pHYs", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"bKGD"})


def read(data: bytes) -> Image.Image | None:
    """Return the decoded image of a small, plain, intact PNG (8 bits, grey or RGB, not interlaced), else None."""
    if len(data) < 33 or not data.startswith(_SIGNATURE):
        return None
    length, kind, width, height, *layout = _HEADER.unpack_from(data, 8)
    mode = _MODES.get(tuple(layout))
    if mode is None or (length, kind) != (13, b"IHDR") or not 0 < width * height <= MAX_PIXELS:
        return None
    pixels = _pixel_data(data)
    if pixels is None:
        return None
    try:
        return Image.frombytes(mode, (width, height), pixels, "zip", mode, 0)
    except ValueError:  # damaged or incomplete: Pillow's reader says how
        return None


def _pixel_data(data: bytes) -> bytes | None:
    """Join the IDAT chunks; None if a chunk is damaged, missing, or of a kind that changes what is seen."""
    found: list[bytes] = []
    position, end = 8, len(data)
    while position + 12 <= end:
        length, kind = _CHUNK.unpack_from(data, position)
        body = position + 8
        check = body + length
        if check + 4 > end or zlib.crc32(data[position + 4 : check]) != int.from_bytes(data[check : check + 4], "big"):
            return None
        if kind == b"IDAT":
            found.append(data[body:check])
        elif kind == b"IEND":
            return b"".join(found)
        elif kind not in _IGNORED and position != 8:  # at 8 stands the header
            return None
        position = check + 4
    return None
