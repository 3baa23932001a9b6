"""The images of an inference request: from JSON, from the bytes after it, or from a body that is nothing else."""

import binascii
import math
from base64 import b64decode
from collections.abc import Sequence

from service.errors import InvalidRequest, TooManyImages, quoted
from service.oip import tensors
from service.oip.content import Input, checked, whole
from service.oip.tensors import Pixels, TensorSpec

Images = Pixels | list[bytes]  # (N, H, W, C), or N files


def from_parts(inputs: Sequence[Input], tail: memoryview, spec: TensorSpec, max_images: int) -> Images:
    """Return the images of the one input that *spec* describes, *tail* being what follows the JSON.

    Raises `InvalidRequest`, or `TooManyImages` above *max_images*.
    """
    given = _only(inputs, spec)
    count = spec.count(given.shape)
    _limit(count, max_images)
    parameters = checked(f"input {spec.name}", given.parameters)
    if "binary_data_size" in parameters and given.data is not None:
        raise InvalidRequest(f"input {spec.name}: has both data and binary_data_size")
    announced = whole(parameters, "binary_data_size")
    if announced > len(tail):
        raise InvalidRequest(f"unexpected size for input {spec.name}: {announced} bytes announced, {len(tail)} sent")
    if announced < len(tail):
        raise InvalidRequest(f"unexpected additional input data: {len(tail) - announced} bytes after the last input")
    if "binary_data_size" not in parameters:
        return _from_json(given, count)
    if spec.datatype == "BYTES":
        return tensors.elements_from_binary(spec.name, tail, count)
    return tensors.pixels_from_binary(spec.name, tail, given.shape)


def from_raw(body: bytes, spec: TensorSpec, max_images: int) -> Images:
    """Return a body that is one image file, or the pixels of as many images as it holds."""
    if spec.datatype == "BYTES":
        return [body]
    each = math.prod(spec.shape[1:])
    count, rest = divmod(len(body), each)
    if rest or not count:
        raise InvalidRequest(f"input {spec.name}: {len(body)} bytes are not images of {each} bytes each")
    _limit(count, max_images)
    return tensors.pixels_from_binary(spec.name, memoryview(body), (count, *spec.shape[1:]))


def _only(inputs: Sequence[Input], spec: TensorSpec) -> Input:
    """Return the one input, if it is the one that the model takes."""
    for given in inputs:
        if given.name != spec.name:
            raise InvalidRequest(f"unknown input {quoted(given.name)}; the model takes {spec.name}")
    if len(inputs) != 1:
        raise InvalidRequest(f"input {spec.name}: {'given more than once' if inputs else 'missing'}")
    tensors.require_datatype(spec.name, inputs[0].datatype, spec.datatype)
    return inputs[0]


def _from_json(given: Input, count: int) -> Images:
    if given.data is None:
        raise InvalidRequest(f"input {given.name}: has neither data nor binary_data_size")
    if given.datatype == "BYTES":
        return [_file(given.name, text) for text in tensors.texts_from_json(given.name, given.data, count)]
    return tensors.pixels_from_json(given.name, given.data, given.shape)


def _file(name: str, text: str) -> bytes:
    """Return an image file from JSON, where it stands in base64: no image file is a valid UTF-8 string."""
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"input {name}: image files in JSON must be in base64") from error


def _limit(count: int, max_images: int) -> None:
    if count > max_images:
        raise TooManyImages(f"{count} images in one request; the limit is {max_images}")
