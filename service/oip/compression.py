"""Compressed bodies of the Open Inference Protocol: bounded on the way in, worth it on the way out."""

import asyncio
import gzip
import re
import zlib

from service.errors import BodyTooLarge, InvalidRequest, UnsupportedMediaType

SMALL_BYTES = 64 * 1024  # up to here, another thread costs more than the work
WORTH_BYTES = 1024  # a smaller answer fits a packet anyway
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS  # the window's size, and either header
_LEVEL = 1  # what answers hold, floats, hardly gets smaller by trying harder
_ENCODINGS = (b"gzip", b"deflate")
_CODING = re.compile(rb"\s*([\w*-]+)\s*(?:;\s*q=([\d.]+)\s*)?", re.ASCII)


async def inflated(body: bytes, encoding: bytes | None, max_bytes: int) -> bytes:
    """Return *body* without its content encoding.

    Raises `UnsupportedMediaType` for encodings other than gzip and deflate, `BodyTooLarge` as soon as more than
    *max_bytes* come out, `InvalidRequest` for what is damaged, incomplete or followed by something.
    """
    if encoding is None or encoding == b"identity":
        return body
    if encoding.lower() not in _ENCODINGS:
        raise UnsupportedMediaType("this content encoding is not accepted; send gzip, deflate or none")
    if len(body) <= SMALL_BYTES:  # inflates to a thousandfold at most, and no further than the limit
        return _inflate(body, max_bytes)
    return await asyncio.to_thread(_inflate, body, max_bytes)


async def deflated(body: bytes, accepted: bytes | None) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Return *body* in the encoding that the client's Accept-Encoding prefers, and the headers that say so."""
    encoding = preferred(accepted)
    if encoding is None or len(body) < WORTH_BYTES:
        return body, []
    compress = _gzip if encoding == b"gzip" else _deflate
    small = compress(body) if len(body) <= SMALL_BYTES else await asyncio.to_thread(compress, body)
    return small, [(b"content-encoding", encoding), (b"vary", b"accept-encoding")]


def preferred(accepted: bytes | None) -> bytes | None:
    """Return gzip or deflate, whichever an Accept-Encoding header weighs more, None when it names neither."""
    if not accepted:
        return None
    weights: dict[bytes, float] = {}
    for coding in accepted.lower().split(b",")[:32]:
        if match := _CODING.fullmatch(coding):
            weights[match[1]] = _weight(match[2])
    best = max(_ENCODINGS, key=lambda encoding: weights.get(encoding, 0))
    return best if weights.get(best, 0) > 0 else None


def _weight(text: bytes | None) -> float:
    try:
        return 1 if text is None else float(text)
    except ValueError:
        return 0


def _inflate(body: bytes, max_bytes: int) -> bytes:
    stream = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        plain = stream.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise InvalidRequest("the compressed body is damaged") from error
    if len(plain) > max_bytes:
        raise BodyTooLarge(f"the body inflates to more than the limit of {max_bytes:,} bytes")
    if not stream.eof:
        raise InvalidRequest("the compressed body ends early")
    if stream.unused_data:
        raise InvalidRequest("there is something after the end of the compressed body")
    return plain


def _gzip(body: bytes) -> bytes:
    return gzip.compress(body, _LEVEL, mtime=0)


def _deflate(body: bytes) -> bytes:
    return zlib.compress(body, _LEVEL)
