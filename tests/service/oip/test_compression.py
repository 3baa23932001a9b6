"""service/oip/compression.py: bounded on the way in, worth it on the way out."""

import gzip
import os
import zlib

import pytest

from service.errors import BodyTooLarge, InvalidRequest, RequestError, UnsupportedMediaType
from service.oip.compression import SMALL_BYTES, deflated, inflated, preferred

PLAIN = b"what was sent " * 100
LIMIT = 10**6


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (None, PLAIN),
        (b"identity", PLAIN),
        (b"gzip", gzip.compress(PLAIN)),
        (b"GZIP", gzip.compress(PLAIN)),
        (b"deflate", zlib.compress(PLAIN)),
    ],
)
async def test_bodies_inflate(encoding: bytes | None, body: bytes) -> None:
    """In both encodings, or in none."""
    assert await inflated(body, encoding, LIMIT) == PLAIN


async def test_large_bodies_inflate_too() -> None:
    """In a thread, up to the very limit."""
    plain = os.urandom(LIMIT)
    body = gzip.compress(plain)
    assert len(body) > SMALL_BYTES

    assert await inflated(body, b"gzip", LIMIT) == plain
    with pytest.raises(BodyTooLarge):
        await inflated(body, b"gzip", LIMIT - 1)


@pytest.mark.parametrize(
    ("encoding", "body", "error"),
    [
        (b"br", PLAIN, UnsupportedMediaType),
        (b"gzip, gzip", PLAIN, UnsupportedMediaType),
        (b"", PLAIN, UnsupportedMediaType),
        (b"gzip", PLAIN, InvalidRequest),
        (b"gzip", b"", InvalidRequest),
        (b"gzip", gzip.compress(PLAIN)[:-1], InvalidRequest),
        (b"gzip", gzip.compress(PLAIN) + b"x", InvalidRequest),
        (b"gzip", gzip.compress(PLAIN) * 2, InvalidRequest),
        (b"deflate", zlib.compress(PLAIN)[:-1], InvalidRequest),
        (b"gzip", gzip.compress(bytes(LIMIT + 1)), BodyTooLarge),
    ],
)
async def test_bad_bodies_are_refused(encoding: bytes, body: bytes, error: type[RequestError]) -> None:
    """Unknown encodings, damaged, incomplete, followed by something, or a bomb."""
    with pytest.raises(error):
        await inflated(body, encoding, LIMIT)


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        (None, None),
        (b"", None),
        (b"br, zstd", None),
        (b"gzip", b"gzip"),
        (b"deflate", b"deflate"),
        (b"gzip, deflate, br", b"gzip"),
        (b"gzip;q=0.5, deflate;q=0.8", b"deflate"),
        (b"gzip;q=0", None),
        (b"GZip ; q=1.0", b"gzip"),
        (b"gzip;q=1.2.3", None),
        (b"*", None),
        (b",;=,gzip;;q", None),
    ],
)
def test_the_client_says_what_it_prefers(accepted: bytes | None, encoding: bytes | None) -> None:
    """By weight; what is not understood counts for nothing."""
    assert preferred(accepted) == encoding


async def test_answers_are_compressed_when_that_pays() -> None:
    """Those that are large enough, for clients that asked."""
    large = PLAIN * 60
    assert len(large) > SMALL_BYTES

    for plain in (PLAIN, large):
        body, headers = await deflated(plain, b"gzip")
        assert gzip.decompress(body) == plain
        assert dict(headers) == {b"content-encoding": b"gzip", b"vary": b"accept-encoding"}
    body, headers = await deflated(PLAIN, b"deflate")
    assert (zlib.decompress(body), dict(headers)[b"content-encoding"]) == (PLAIN, b"deflate")
    assert await deflated(b"small", b"gzip") == (b"small", [])
    assert await deflated(PLAIN, None) == (PLAIN, [])
