"""What schemathesis is told about data: bodies that a schema calls bytes are images, and some names are of models."""

import base64
import io
from typing import Any

import numpy as np
import schemathesis
from hypothesis import strategies as st
from PIL import Image

_SIZES = st.integers(1, 64)


@st.composite
def images(draw: st.DrawFn, file_format: str = "PNG") -> bytes:
    """A small image file."""
    pixels = np.random.default_rng(draw(st.integers(0, 9))).integers(0, 256, (draw(_SIZES), draw(_SIZES), 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, file_format)
    return buffer.getvalue()


for media_type, name in (("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP")):
    schemathesis.openapi.media_type(f"image/{media_type}", images(name))
schemathesis.openapi.media_type("application/octet-stream", images())
schemathesis.openapi.format("binary", images())
schemathesis.openapi.format("byte", images().map(lambda content: base64.b64encode(content).decode()))


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:  # noqa: ARG001
    """Every other name and version is one that exists."""
    for name, there in (("name", "lenet"), ("version", "1")):
        if path_parameters and name in path_parameters and len(str(path_parameters[name])) % 2 == 0:
            path_parameters[name] = there
    return path_parameters


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:  # noqa: ARG001
    """The only model is not unloaded: nothing would be left to ask."""
    if case.operation.path.endswith("/unload"):
        case.path_parameters["name"] = "not-there"


@schemathesis.hook
def map_query(context: Any, query: dict[str, Any] | None) -> dict[str, Any] | None:  # noqa: ARG001 (a hook's signature)
    """The same for the model in a query; and no more predictions than it has classes, which no schema can say."""
    if query and isinstance(query.get("model"), str) and len(query["model"]) % 2 == 0:
        query["model"] = "lenet"
    if query and isinstance(query.get("top_k"), int) and query["top_k"] > 10:
        query["top_k"] = 1 + query["top_k"] % 10
    return query


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:  # noqa: ARG001 (a hook's signature)
    """JSON Schema takes 3.0 for an integer; the service, to be strict about types, does not."""
    return _without_round_floats(body)


def _without_round_floats(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_round_floats(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_round_floats(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
