"""The trace that a request belongs to, as its client says in `traceparent` (W3C Trace Context, level 1)."""

import re
from collections.abc import Mapping
from typing import NamedTuple

_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 0x01


class Parent(NamedTuple):
    """The span of the client that the request comes from."""

    trace_id: str  # 32 hexadecimal digits
    span_id: str  # 16 of them
    sampled: bool


def parse(value: bytes) -> Parent | None:
    """Return what a `traceparent` says, None if it says nothing valid."""
    match = _TRACEPARENT.fullmatch(value)
    if match is None or (value.startswith(b"00") and match[4] is not None):
        return None
    return Parent(match[1].decode(), match[2].decode(), bool(int(match[3], 16) & _SAMPLED))


def id_of(headers: Mapping[bytes, bytes]) -> str | None:
    """Return the trace's id from a request's headers, None if there is none."""
    value = headers.get(b"traceparent")
    parent = None if value is None else parse(value)
    return None if parent is None else parent.trace_id
