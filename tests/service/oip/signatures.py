"""What a small model takes and gives, for tests of the codec, and bodies for it."""

import json
from typing import Any

import numpy as np

from service.oip.request import Signature
from service.oip.tensors import TensorSpec

OUTPUTS = (TensorSpec("logits", "FP32", (-1, 3)), TensorSpec("probabilities", "FP32", (-1, 3)))
TENSOR = Signature(TensorSpec("images", "UINT8", (-1, 2, 2, 1)), OUTPUTS, classes=3, max_images=4)
IMAGE = Signature(TensorSpec("image", "BYTES", (-1,)), OUTPUTS, classes=3, max_images=4)


def pixels(count: int = 1) -> np.ndarray:
    """Images of the tensor model: their bytes count up."""
    return np.arange(count * 4, dtype=np.uint8).reshape(count, 2, 2, 1)


def given(count: int = 1, **changes: Any) -> dict[str, Any]:
    """The `images` input as JSON; a change to None takes a key away."""
    images = pixels(count)
    fields = {"name": "images", "datatype": "UINT8", "shape": list(images.shape), "data": images.ravel().tolist()}
    return {name: value for name, value in {**fields, **changes}.items() if value is not None}


def body(*inputs: dict[str, Any], **more: Any) -> bytes:
    """A request in JSON."""
    return json.dumps({"inputs": list(inputs), **more}).encode()


def with_tail(tail: bytes, *inputs: dict[str, Any], **more: Any) -> tuple[bytes, bytes]:
    """A request with bytes after its JSON, and the header that says where those begin."""
    content = body(*inputs, **more)
    return content + tail, b"%d" % len(content)


def element(data: bytes) -> bytes:
    """An element of a binary BYTES tensor."""
    return len(data).to_bytes(4, "little") + data
