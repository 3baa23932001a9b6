"""The one thing of EXIF that matters here: how the camera was held. Only the tag is read, so that the rest of the
metadata, which can be made to cost minutes or gigabytes, costs nothing.
"""

from typing import Final

_ORIENTATION: Final = 0x0112  # EXIF 2.32, 4.6.4
_SHORT: Final = 3
_UPRIGHT: Final = 1
_ORDERS: Final = {b"II*\0": "little", b"MM\0*": "big"}
_ENTRY_BYTES: Final = 12
_MAX_ENTRIES: Final = 1_024


def orientation(data: bytes) -> int:
    """Return the orientation, 1 to 8, in an EXIF block with or without its name before it; 1 if there is none."""
    if data[:6] == b"Exif\0\0":
        data = data[6:]
    order = _ORDERS.get(data[:4])
    if order is None:
        return _UPRIGHT

    def number(position: int, size: int) -> int:
        return int.from_bytes(data[position : position + size], order)  # type: ignore[arg-type]

    first = number(4, 4)
    for n in range(min(number(first, 2), _MAX_ENTRIES)):
        entry = first + 2 + n * _ENTRY_BYTES
        if number(entry, 2) == _ORIENTATION:
            found = number(entry + 8, 2) if number(entry + 2, 2) == _SHORT and number(entry + 4, 4) == 1 else 0
            return found if 1 <= found <= 8 else _UPRIGHT
    return _UPRIGHT
