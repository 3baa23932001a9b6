"""Tensors as the Open Inference Protocol carries them: as JSON and as bytes, to and from numpy.

Sources: the protocol's REST specification and the binary tensor data extension. Only what a face takes or gives is
here: UINT8 and BYTES come in, FP32 and BYTES go out. It knows nothing of models.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from service.errors import InvalidRequest, quoted

DATATYPES: Final = frozenset(
    {"BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64"}
    | {"BYTES", "BF16"}
)
BATCH: Final = -1  # the one variable dimension of every tensor here: images
Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
_LENGTH: Final = struct.Struct("<I")  # before each element of a binary BYTES tensor


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What a model says of one of its tensors; -1 in `shape` stands for the number of images."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def count(self, shape: Sequence[int]) -> int:
        """Return how many images a tensor of *shape* holds; raises `InvalidRequest` when it does not fit this one."""
        if len(shape) != len(self.shape) or tuple(shape[1:]) != self.shape[1:] or shape[0] < 1:
            shown = list(shape) if len(str(shape)) <= 100 else f"of {len(shape)} dimensions"
            want = ", ".join(str(size) for size in ("N", *self.shape[1:]))
            raise InvalidRequest(f"input {self.name}: shape {shown} is not [{want}] with N from 1")
        return shape[0]


def pixels_from_json(name: str, data: list[Any], shape: Sequence[int]) -> Pixels:
    """Return UINT8 *data*, flat or nested in row-major order, as an array of *shape*."""
    flat = _flat(name, data, math.prod(shape))
    if set(map(type, flat)) - {int}:
        raise InvalidRequest(f"input {name}: UINT8 data must be whole numbers from 0 to 255")
    try:
        values = bytes(flat)
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(f"input {name}: UINT8 data must be whole numbers from 0 to 255") from error
    return np.frombuffer(values, np.uint8).reshape(shape)


def texts_from_json(name: str, data: list[Any], count: int) -> list[str]:
    """Return the *count* strings of a BYTES tensor, flat or nested."""
    flat = _flat(name, data, count)
    if set(map(type, flat)) - {str}:
        raise InvalidRequest(f"input {name}: BYTES data must be strings")
    return flat


def pixels_from_binary(name: str, data: memoryview, shape: Sequence[int]) -> Pixels:
    """Return UINT8 bytes as an array of *shape* that shares their memory."""
    if len(data) != math.prod(shape):
        raise InvalidRequest(f"input {name}: {len(data)} bytes for shape {list(shape)}, which takes {math.prod(shape)}")
    return np.frombuffer(data, np.uint8).reshape(shape)


def elements_from_binary(name: str, data: memoryview, count: int) -> list[bytes]:
    """Return the *count* elements of a BYTES tensor, each of which has its length before it as a uint32."""
    elements: list[bytes] = []
    position = 0
    while position < len(data):
        start = position + _LENGTH.size
        if start > len(data) or len(elements) == count:
            break
        position = start + _LENGTH.unpack_from(data, position)[0]
        if position > len(data):
            break
        elements.append(bytes(data[start:position]))
    if position != len(data) or len(elements) != count:
        raise InvalidRequest(f"input {name}: its {len(data)} bytes are not {count} elements with their lengths")
    return elements


def to_json(values: Floats | list[bytes]) -> list[Any]:
    """Return an output flat, in row-major order; BYTES as text."""
    if isinstance(values, list):
        return [element.decode() for element in values]
    flat: list[Any] = values.ravel().tolist()
    return flat


def to_binary(values: Floats | list[bytes]) -> bytes:
    """Return an output as bytes: little-endian, row-major, BYTES elements with their lengths."""
    if isinstance(values, list):
        return b"".join(part for element in values for part in (_LENGTH.pack(len(element)), element))
    return values.astype("<f4", copy=False).tobytes()


def _flat(name: str, data: list[Any], count: int) -> list[Any]:
    """Take the nesting off; what is ragged, or mixed from lists and values, is refused."""
    while data and type(data[0]) is list:
        if set(map(type, data)) != {list} or len(set(map(len, data))) != 1:
            raise InvalidRequest(f"input {name}: data is nested unevenly")
        data = list(chain.from_iterable(data))
    if len(data) != count:
        raise InvalidRequest(f"input {name}: {len(data)} elements of data where the shape takes {count}")
    return data


def require_datatype(name: str, datatype: str, want: str) -> None:
    """Raise `InvalidRequest` unless *datatype* is the one that the model takes."""
    if datatype == want:
        return
    known = "" if datatype in DATATYPES else ", which is no datatype of the protocol"
    raise InvalidRequest(f"input {name}: datatype {quoted(datatype)}{known}; the model takes {want}")
