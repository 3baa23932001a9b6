"""A short way through the PNG files that are most common and smallest, for which reading the chunks costs more than
decoding the pixels. It only ever takes a file that it fully understands; everything else is Pillow's own reader's.
"""

import struct
import zlib
from typing import Any, Final

from PIL import Image, _imaging

MAX_PIXELS: Final = 16_384  # 128 × 128; above, decoding dominates and there is nothing to win
MAX_BYTES: Final = 32_768  # more than that is metadata, or not tiny, and not to be walked through while others wait
_HEADER: Final = struct.Struct(">8sI4s13sI")  # signature, then the first chunk: length, kind, layout, checksum
_LAYOUT: Final = struct.Struct(">II5s")  # width, height; depth, colour type, compression, filter, interlace
_CHUNK: Final = struct.Struct(">I4s")
_CRC_OF_KIND: Final = zlib.crc32(b"IHDR")
_START: Final = (b"\x89PNG\r\n\x1a\n", 13, b"IHDR")
_MODES: Final = {b"\x08\0\0\0\0": "L", b"\x08\x02\0\0\0": "RGB"}
# chunks that say nothing about how the pixels are to be shown here (PNG 3rd edition, section 11.3)
_IGNORED: Final = frozenset({b"tEXt", b"tIME", b"pHYs", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"bKGD"})


def read(data: bytes) -> Image.Image | None:
    """Return the decoded image of a small, plain, intact PNG (8 bits, grey or RGB, not interlaced), else None."""
    found = _compressed(data)
    if found is None:
        return None
    mode, size, pixels = found
    try:
        return Image.frombytes(mode, size, pixels, "zip", mode, 0)
    except ValueError:  # damaged or incomplete: Pillow's reader says how
        return None


def read_core(data: bytes, mode: str) -> Any | None:
    """Return what `read` does as Pillow's inner image, if it is of that *mode*: half the time for the smallest."""
    found = _compressed(data)
    if found is None or found[0] != mode:
        return None
    _, size, pixels = found
    core = _imaging.new(mode, size)
    decoder = _imaging.zip_decoder(mode, mode, 0)
    decoder.setimage(core, (0, 0, *size))
    consumed, status = decoder.decode(pixels)
    return core if consumed < 0 and status == 0 else None  # as `Image.frombytes` has it


def _compressed(data: bytes) -> tuple[str, tuple[int, int], bytes] | None:
    """Return mode, size and the compressed pixels of a PNG that is small and plain, else None."""
    if not _HEADER.size <= len(data) <= MAX_BYTES:
        return None
    *start, layout, checksum = _HEADER.unpack_from(data)
    width, height, rest = _LAYOUT.unpack(layout)
    mode = _MODES.get(rest)
    if mode is None or not 0 < width * height <= MAX_PIXELS or zlib.crc32(layout, _CRC_OF_KIND) != checksum:
        return None
    if tuple(start) != _START:
        return None
    pixels = _pixel_data(data)
    if pixels is None:
        return None
    return mode, (width, height), pixels


def _pixel_data(data: bytes) -> bytes | None:
    """Join the IDAT chunks, whose stream carries a checksum of its own; None if a chunk changes what is seen."""
    found: list[bytes] = []
    position, last = _HEADER.size, len(data) - 12
    while position <= last:
        length, kind = _CHUNK.unpack_from(data, position)
        if kind == b"IDAT":
            found.append(data[position + 8 : position + 8 + length])
        elif kind == b"IEND":
            return found[0] if len(found) == 1 else b"".join(found)
        elif kind not in _IGNORED:
            return None
        position += 12 + length
    return None
