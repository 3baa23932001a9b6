"""Requests that are wrong in every way that has an answer, and the status that each must get."""

import base64
import json
import random
import struct
import zlib
from typing import NamedTuple

from benchmarks.overload.client import LEFT, Request, get, post

_FORM = "Content-Type: multipart/form-data; boundary=b"
_JSON = "Content-Type: application/json"
_CLASSIFY = "/v1/classify"


class Fault(NamedTuple):
    """A request and what may come of it; who hangs up may have its answer already."""

    name: str
    request: Request
    statuses: frozenset[int]


def faults(image: bytes) -> list[Fault]:
    """Return one request of each kind, made of an image that would be answered."""
    chance = random.Random(0)  # noqa: S311 (no secret)
    middle = len(image) // 2
    text = base64.b64encode(image).decode()
    cuts = [_fault(f"cut at {at}", 422, post(image[:at])) for at in (9, middle, len(image) - 30)]
    queries = ("top_k=0", "top_k=-1", "top_k=99999", "top_k=abc", "threshold=2", "crops=3", "colour=red", "model=..")
    parameters = [
        _fault(query, 404 if query.startswith("model") else 422, post(image, f"{_CLASSIFY}?{query}"))
        for query in queries
    ]
    documents = {
        "JSON that ends": b'{"images": [',
        "deep JSON": b"[" * 10_000,
        "no base64": json.dumps({"images": ["?" * 100]}).encode(),
        "half an image as base64": json.dumps({"images": [text[:400]]}).encode(),
        "an address as an image": b'{"images": ["http://127.0.0.1:1/x.png"]}',
    }
    forms = {
        "no parts": b"--b--\r\n",
        "a part without an end": b"--b\r\n\r\n",
        "another boundary": _form(image).replace(b"--b", b"--c"),
        "33 parts": _form(*[b""] * 33),
    }
    return [
        *cuts,
        *parameters,
        *(_fault(name, (400, 422, 200), post(body, _CLASSIFY, _JSON)) for name, body in documents.items()),
        *(_fault(name, (400, 413), post(body, _CLASSIFY, _FORM)) for name, body in forms.items()),
        _fault("empty", 422, post(b"")),
        _fault("text", 422, post(b"no image")),
        _fault("noise", 422, post(chance.randbytes(3_000))),
        _fault("a signature and zeros", 422, post(b"\x89PNG\r\n\x1a\n" + bytes(3_000))),
        _fault("a bomb", 422, post(_bomb(65_535, 65_535))),
        _fault("a strip", 422, post(_bomb(1, 60_000))),
        _fault("PDF", 415, post(b"%PDF-1.7\n")),
        _fault("another media type", 415, post(image, _CLASSIFY, "Content-Type: text/html")),
        _fault("a pickle", 415, post(image, _CLASSIFY, "Content-Type: application/vnd.bentoml+pickle")),
        _fault("compressed", 415, post(zlib.compress(image), _CLASSIFY, "Content-Encoding: gzip")),
        _fault("no such model", 404, post(image, f"{_CLASSIFY}?model=nobody")),
        _fault("no such version", 404, post(image, f"{_CLASSIFY}?version=99")),
        _fault("no such path", 404, get("/nowhere")),
        _fault("another method", 405, get(_CLASSIFY)),
        _fault("no such priority", 422, post(image, _CLASSIFY, "X-Priority: first")),
        _fault("no time", 422, post(image, _CLASSIFY, "X-Request-Timeout-Ms: never")),
        _fault("oversized", 413, _bare("Content-Length: 99999999")),
        _fault("two lengths", 400, _bare("Content-Length: 1", "Content-Length: 2")),
        _fault("length and chunks", 400, _bare("Content-Length: 3", "Transfer-Encoding: chunked")),
        _fault("a long head", 431, _bare("X-Long: " + "a" * 70_000)),
        _fault("a long path", 414, get("/" + "a" * 20_000)),
        _fault("no HTTP", 400, Request(b"\x16\x03\x01\x02\0\x01\0\r\n\r\n")),
        _fault("leaves at once", (LEFT, 200), post(image, leaves_after_s=0.0)),
        _fault("leaves soon", (LEFT, 200), post(image, leaves_after_s=0.001)),
        _fault("leaves while it sends", LEFT, _bare("Content-Length: 1000", leaves_after_s=0.01)),
    ]


def _fault(name: str, status: int | tuple[int, ...], request: Request) -> Fault:
    return Fault(name, request, frozenset(status if isinstance(status, tuple) else (status,)))


def _bare(*headers: str, leaves_after_s: float | None = None) -> Request:
    """Return a head and nothing behind it."""
    return Request("\r\n".join([f"POST {_CLASSIFY} HTTP/1.1", "Host: x", *headers, "", ""]).encode(), leaves_after_s)


def _form(*parts: bytes) -> bytes:
    start = b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
    return b"".join(start + part + b"\r\n" for part in parts) + b"--b--\r\n"


def _bomb(width: int, height: int) -> bytes:
    """Return a PNG that says that it is so large, and no more."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
