"""Gives memory that was freed back to the system."""

import ctypes

_TRIM = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it; others give back by themselves


def give_back() -> None:
    """Return freed memory to the system: the allocator keeps what lies between blocks in use; takes milliseconds."""
    if _TRIM is not None:
        _TRIM(0)
