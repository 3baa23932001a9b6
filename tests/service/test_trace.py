"""service/trace.py: which trace a request belongs to."""

import pytest

from service import trace

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_traceparent_is_read() -> None:
    """The example of the recommendation, sampled and not, and a later version with more in it."""
    assert trace.parse(f"00-{TRACE}-{SPAN}-01".encode()) == (TRACE, SPAN, True)
    assert trace.parse(f"00-{TRACE}-{SPAN}-00".encode()) == (TRACE, SPAN, False)
    assert trace.parse(f"cc-{TRACE}-{SPAN}-03-what-comes".encode()) == (TRACE, SPAN, True)


@pytest.mark.parametrize(
    "value",
    [
        "",
        TRACE,
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_what_is_none_is_none(value: str) -> None:
    """And starts no trace."""
    assert trace.parse(value.encode()) is None
    assert trace.id_of({b"traceparent": value.encode()}) is None
