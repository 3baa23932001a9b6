"""An inference request of the Open Inference Protocol, parsed and checked against what the model takes and gives.

Everything that is wrong with it is an `InvalidRequest` that names the part; nothing here runs a model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from service.errors import InvalidRequest, quoted
from service.oip import content, inputs
from service.oip.content import Output, Parameters
from service.oip.inputs import Images
from service.oip.tensors import TensorSpec

_MAX_PRIORITY: Final = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives, with the limits of a request."""

    input: TensorSpec
    outputs: tuple[TensorSpec, ...]
    classes: int
    max_images: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """One output that is asked for; `classification` is how many classes to name, 0 for the numbers themselves."""

    spec: TensorSpec
    binary: bool
    classification: int = 0


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A checked request: images as one array (N, H, W, C) or as N files, and what is to be said of them."""

    images: Images
    outputs: tuple[Wanted, ...]
    id: str | None = None
    timeout_us: int = 0  # 0 for none
    priority: int = 0  # 1 is the highest, 0 the default


def parse(
    body: bytes, header_length: bytes | None, signature: Signature, *, accept: bytes | None = None
) -> InferRequest:
    """Parse a body, *header_length* being its Inference-Header-Content-Length.

    Of a raw body, which cannot say how its outputs are wanted, an Accept of application/json does.

    Raises `InvalidRequest`, `TooManyImages`, or `Unsupported` for shared memory.
    """
    length = _header_length(header_length, len(body))
    if length == 0:  # one tensor and nothing else
        images = inputs.from_raw(body, signature.input, signature.max_images)
        binary = accept != b"application/json"
        return InferRequest(images, tuple(Wanted(spec, binary) for spec in signature.outputs))
    request = content.read(body if length is None else body[:length])
    tail = memoryview(body)[len(body) if length is None else length :]
    parameters = content.checked("request", request.parameters)
    return InferRequest(
        inputs.from_parts(request.inputs, tail, signature.input, signature.max_images),
        _wanted(request.outputs or (), parameters, signature),
        request.id,
        content.whole(parameters, "timeout"),
        content.whole(parameters, "priority", _MAX_PRIORITY),
    )


def _header_length(text: bytes | None, size: int) -> int | None:
    """Return how many bytes of the body are JSON, None for all, 0 for none."""
    if text is None:
        return None
    if not text.isdigit() or len(text) > 19 or int(text) > size:
        raise InvalidRequest(f"Inference-Header-Content-Length: must be a whole number from 0 to the body's {size}")
    return int(text)


def _wanted(outputs: Sequence[Output], parameters: Parameters, signature: Signature) -> tuple[Wanted, ...]:
    """Return the outputs that are asked for; all of them when none is named."""
    default = content.flag(parameters, "binary_data_output", default=False)
    if not outputs:
        return tuple(Wanted(spec, default) for spec in signature.outputs)
    specs = {spec.name: spec for spec in signature.outputs}
    wanted: dict[str, Wanted] = {}
    for output in outputs:
        spec = specs.get(output.name)
        if spec is None:
            raise InvalidRequest(f"unknown output {quoted(output.name)}; the model gives {', '.join(specs)}")
        if output.name in wanted:
            raise InvalidRequest(f"output {spec.name}: asked for more than once")
        own = content.checked(f"output {spec.name}", output.parameters)
        classification = 0
        if "classification" in own:
            classification = content.whole(own, "classification")
            if classification == 0:
                raise InvalidRequest(f"output {spec.name}: classification must be a whole number from 1")
        binary = content.flag(own, "binary_data", default=default)
        wanted[spec.name] = Wanted(spec, binary, min(classification, signature.classes))
    return tuple(wanted.values())
