"""Gives memory that was freed back to the system; where the C library is not glibc, it does so by itself."""

import ctypes

_LIBC = ctypes.CDLL(None)
_TRIM, _MALLOPT = getattr(_LIBC, "malloc_trim", None), getattr(_LIBC, "mallopt", None)
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h
_MMAP_BYTES = 2 * 2**20  # pixels of a photograph at reduced scale: to fetch them anew is a fifth of decoding them
_TRIM_BYTES = 4 * 2**20


def keep_little() -> None:
    """Let large blocks go as soon as they are freed, and keep no more than a few MiB at the end of each arena.

    Left alone, glibc takes each large block that is freed as a reason to keep such blocks from then on: up to 64 MiB
    at the end of every thread's arena, where `give_back` does not reach (mallopt(3), M_MMAP_THRESHOLD).
    """
    if _MALLOPT is not None:
        _MALLOPT(_M_MMAP_THRESHOLD, _MMAP_BYTES)
        _MALLOPT(_M_TRIM_THRESHOLD, _TRIM_BYTES)


def give_back() -> None:
    """Return freed memory to the system: the allocator keeps what lies between blocks in use; takes milliseconds."""
    if _TRIM is not None:
        _TRIM(0)
