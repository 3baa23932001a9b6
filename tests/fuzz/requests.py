"""HTTP requests that are almost right: for routes that exist and others, with parameters, headers and bodies."""

import json
import random
from dataclasses import dataclass

from tests.fuzz.images import mutated

_METHODS = ("POST", "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW")
_POSTED = (
    *("/v1/classify",) * 10,
    *("/v1/embed", "/v1/feedback", "/v1/models/lenet/promote", "/v1/models/lenet/canary", "/v2/repository/index"),
    *("/v2/models/lenet/infer",) * 3,
    *("/v2/models/lenet-image/infer",) * 3,
    *("/v2/models/lenet/versions/1/infer", "/v2/models/lenet-image/versions/1/infer", "/v2/models/nobody/infer"),
)
_GOT = (
    *("/v1/models", "/v1/models/lenet", "/v1/models/nobody", "/v1/models/lenet/versions/1", "/livez", "/readyz"),
    *("/metrics", "/openapi.json", "/docs", "/ui", "/", "/nowhere", "//v1//classify", "/v1/classify/"),
    *("/v2", "/v2/health/ready", "/v2/models/lenet", "/v2/models/lenet/config", "/v2/models/lenet/stats"),
    *("/v2/models/lenet/ready", "/v2/models/lenet/versions/9", "/v2/models/%2e%2e/ready"),
)
_NAMES = ("top_k", "model", "version", "precision", "crops", "threshold", "labels", "embedding", "x", "")
_VALUES = (
    "1",
    "5",
    "10",
    "0",
    "-1",
    "11",
    "lenet",
    "nobody",
    "fp32",
    "int8",
    "0.5",
    "nan",
    "",
    "%00",
    "a" * 300,
    "true",
)
_TYPES = (
    *(None, None, "image/png", "image/jpeg", "application/octet-stream", "application/x-www-form-urlencoded"),
    *("application/json", "multipart/form-data; boundary=b", "multipart/form-data", "text/plain", "image/*", "\xff"),
)
_HEADERS = (
    *(("X-Request-Timeout-Ms", value) for value in ("1000", "0", "-1", "soon", "99999999999")),
    *(("X-Priority", value) for value in ("high", "normal", "low", "0")),
    *(("X-Request-ID", value) for value in ("abc", "a" * 200, "a b", "\x7f")),
    *(("Content-Encoding", value) for value in ("gzip", "deflate", "br", "identity")),
    *(("Inference-Header-Content-Length", value) for value in ("0", "10", "-1", "x", "99999999")),
    *(("Accept-Encoding", "gzip"), ("Range", "bytes=0-1"), ("Expect", "100-continue"), ("Expect", "miracles")),
    *(("X-Forwarded-For", "1.2.3.4"), ("traceparent", "00-x-y-z"), ("Origin", "null"), ("If-None-Match", "*")),
    *(("Accept", "text/html"), ("Cookie", "a=b"), ("Upgrade", "h2c"), ("X-Client-ID", "\xe9" * 40)),
)


@dataclass(frozen=True)
class Case:
    """The bytes of a request. *framed*: it says itself where it ends, so that an answer must come."""

    data: bytes
    framed: bool
    head_only: bool  # the answer has no body


def case(chance: random.Random, key: str) -> Case:
    """One request, made with a key that may classify and no more."""
    method, path = ("POST", chance.choice(_POSTED)) if chance.random() < 0.8 else ("GET", chance.choice(_GOT))
    if chance.random() < 0.1:
        method = chance.choice(_METHODS)
    if chance.random() < 0.4:
        pairs = [f"{chance.choice(_NAMES)}={chance.choice(_VALUES)}" for _ in range(chance.choice((1, 1, 2, 5)))]
        path += "?" + "&".join(pairs)
    kind = chance.choice(_TYPES)
    if path.startswith("/v2/") and chance.random() < 0.7:
        kind = chance.choice(("application/json", "application/octet-stream"))
    body = _body(chance, kind)
    headers = [("Host", "fuzz"), ("X-API-Key", key)]
    if kind is not None:
        headers.append(("Content-Type", kind))
    headers += [chance.choice(_HEADERS) for _ in range(chance.choice((0, 0, 0, 1, 2)))]
    chunked = chance.random() < 0.15
    if chunked:
        headers.append(("Transfer-Encoding", "chunked"))
        body = _chunks(body, chance)
    elif body or method in ("POST", "PUT"):
        headers.append(("Content-Length", str(len(body))))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
    data = "\r\n".join(lines).encode("latin-1") + body
    if chance.random() < 0.05:
        return Case(_broken(bytearray(data), chance), framed=False, head_only=False)
    return Case(data, framed=True, head_only=method == "HEAD")


def _body(chance: random.Random, kind: str | None) -> bytes:
    if kind == "application/json" and chance.random() < 0.9:
        return _json(chance)
    if kind is not None and kind.startswith("multipart"):
        return _form(chance)
    return mutated(chance) if chance.random() < 0.9 else chance.randbytes(chance.choice((0, 1, 100)))


def _form(chance: random.Random) -> bytes:
    parts = []
    for _ in range(chance.choice((0, 1, 1, 2, 3, 8, 40))):
        name = chance.choice(('name="f"; filename="f"', 'name="f"', "filename", 'name="f"; filename="\xff"', ""))
        parts.append(b"--b\r\nContent-Disposition: form-data; " + name.encode("latin-1") + b"\r\n\r\n")
        parts.append(mutated(chance)[:5_000] + b"\r\n")
    body = bytearray(b"".join(parts) + b"--b--\r\n")
    return _broken(body, chance) if chance.random() < 0.4 else bytes(body)


def _json(chance: random.Random) -> bytes:
    values: tuple[object, ...] = (
        None,
        True,
        0,
        -1,
        1.5,
        10**30,
        "",
        "a",
        [],
        [1],
        {},
        [[1, 2], [3]],
        "AAAA",
        "/9j/4AA=",
    )
    tensor = {
        "name": chance.choice(("images", "image", "x", 1, None)),
        "shape": chance.choice(([1], [1, 28, 28, 1], [2, 28, 28, 1], [-1], [0], [10**12], "1", [1.5], None)),
        "datatype": chance.choice(("UINT8", "BYTES", "FP32", "INT64", "FP16", "", 5)),
        "data": chance.choice(
            ([0] * 784, [[0] * 28] * 28, [1], ["AAAA"], [256], [-1], [None], "x", chance.choice(values))
        ),
        "parameters": chance.choice(({}, {"binary_data_size": 784}, {"binary_data_size": -1}, [], None)),
    }
    for name in list(tensor):
        if chance.random() < 0.1:
            del tensor[name]
    document: dict[str, object] = {"inputs": [tensor] * chance.choice((0, 1, 1, 1, 2))}
    if chance.random() < 0.3:
        document["outputs"] = [{"name": chance.choice(("logits", "probabilities", "x", 3))}]
    if chance.random() < 0.3:
        document[chance.choice(("id", "parameters", "image", "images", "label", "request_id"))] = chance.choice(values)
    data = bytearray(json.dumps(document).encode())
    return _broken(data, chance) if chance.random() < 0.2 else bytes(data)


def _chunks(body: bytes, chance: random.Random) -> bytes:
    size = chance.choice((1, 10, 1_000, 100_000))
    pieces = [body[start : start + size] for start in range(0, len(body), size)][:2_000]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def _broken(data: bytearray, chance: random.Random) -> bytes:
    """Change, remove or repeat a few bytes."""
    for _ in range(chance.choice((1, 1, 2, 5))):
        place = chance.randrange(len(data) + 1)
        piece = bytes(data[place : place + chance.choice((1, 4, 30))])
        data[place : place + len(piece)] = chance.choice((b"", piece * 2, chance.randbytes(len(piece)), b"\0", b"\r\n"))
    return bytes(data)
