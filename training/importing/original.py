"""What an ONNX file of somebody else takes and gives, and everything about it that cannot become a model file.

It reads and refuses; nothing is changed here, and nothing is run.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto
from onnx.external_data_helper import ExternalDataInfo, load_external_data_for_model, uses_external_data

from training.errors import InvalidImport
from training.graphs import producers

Layout = Literal["nchw", "nhwc"]
MIN_OPSET = 8  # broadcasting as it is today, in Max too
MAX_BYTES = 2**31 - 1  # of one ONNX file: protobuf's limit
FLOATS: Mapping[int, str] = {TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16"}
# What may stand behind a softmax without changing which value belongs to which class.
_SHAPING = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze")


@dataclass(frozen=True, slots=True)
class Original:
    """A float classifier: images in one layout, one number for each class. None is what the file leaves open."""

    path: Path
    sha256: str
    model: onnx.ModelProto  # with all its weights
    input: str
    kind: int  # FLOAT or FLOAT16
    layout: Layout
    channels: int
    height: int | None
    width: int | None
    batch: int | None
    output: str
    classes: int | None
    softmax: bool  # the output is a softmax's

    @property
    def producer(self) -> str | None:
        """What wrote the file, as it says itself."""
        return f"{self.model.producer_name} {self.model.producer_version}".strip() or None


def read(path: Path, layout: Layout | None = None, output: str | None = None) -> Original:
    """Read a classifier; raises `InvalidImport` with one line that names the file and what is wrong with it."""
    if not path.is_file():
        raise InvalidImport(f"{path}: no such file")
    content = path.read_bytes()
    try:
        model = onnx.load_model_from_string(content)
    except (DecodeError, ValueError) as error:
        raise InvalidImport(f"{path}: not a readable ONNX file") from error
    if not model.graph.node:
        raise InvalidImport(f"{path}: not a readable ONNX file: it has no graph")
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset < MIN_OPSET:
        raise InvalidImport(f"{path}: opset {opset}; at least {MIN_OPSET} is needed")
    _load_weights(model, path)
    taken, dims, kind = _input(model.graph, path)
    layout = layout or _layout(dims, path)
    channels, height, width = (dims[1], dims[2], dims[3]) if layout == "nchw" else (dims[3], dims[1], dims[2])
    if channels not in (1, 3):
        raise InvalidImport(f"{path}: {taken} has {channels or 'any number of'} channels as {layout}, not 1 or 3")
    given, classes = _output(model.graph, path, output)
    softmax = _require_one_softmax(model.graph, given, path)
    digest = hashlib.sha256(content).hexdigest()
    return Original(path, digest, model, taken, kind, layout, channels, height, width, dims[0], given, classes, softmax)


def _input(graph: onnx.GraphProto, path: Path) -> tuple[str, tuple[int | None, ...], int]:
    weights = {tensor.name for tensor in graph.initializer}  # old files list them among the inputs
    inputs = [value for value in graph.input if value.name not in weights]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise InvalidImport(f"{path}: a classifier of images has one input, this has {len(inputs)}: {names}")
    (value,) = inputs
    kind, dims = value.type.tensor_type.elem_type, _dims(value)
    if kind not in FLOATS:
        name = TensorProto.DataType.Name(kind).lower()
        raise InvalidImport(f"{path}: {value.name} is {name}, not float32 or float16")
    if len(dims) != 4:
        raise InvalidImport(f"{path}: {value.name} has rank {len(dims)}; images are (N, C, H, W) or (N, H, W, C)")
    return value.name, dims, kind


def _layout(dims: tuple[int | None, ...], path: Path) -> Layout:
    first, last = dims[1] in (1, 3), dims[3] in (1, 3)
    if first == last:
        shape = "(" + ", ".join(str(dim or "any") for dim in dims) + ")"
        if not first and dims[1] is not None and dims[3] is not None:
            raise InvalidImport(f"{path}: an input of {shape} has neither 1 nor 3 channels, first or last")
        raise InvalidImport(f"{path}: an input of {shape} may be NCHW or NHWC; say which with --layout")
    return "nchw" if first else "nhwc"


def _output(graph: onnx.GraphProto, path: Path, wanted: str | None) -> tuple[str, int | None]:
    outputs = {value.name: value for value in graph.output}
    names = ", ".join(outputs)
    if wanted is not None and wanted not in outputs:
        raise InvalidImport(f"{path}: no output {wanted!r}; there are: {names}")
    if wanted is None and len(outputs) != 1:
        raise InvalidImport(f"{path}: {len(outputs)} outputs ({names}); say which has the classes with --output")
    value = outputs[wanted] if wanted else next(iter(outputs.values()))
    if value.type.tensor_type.elem_type not in FLOATS:
        raise InvalidImport(f"{path}: {value.name} is not float: a number for each class is needed, not a label")
    dims = _dims(value)
    # (N, K), or (N, K, 1, 1) as convolutions give it; a shape that is not known is left to the run
    if value.type.tensor_type.HasField("shape") and (len(dims) < 2 or any(dim not in (1, None) for dim in dims[2:])):
        raise InvalidImport(f"{path}: {value.name} has rank {len(dims)}; (N, K) is needed, a number for each class")
    return value.name, dims[1] if len(dims) > 1 else None


def _require_one_softmax(graph: onnx.GraphProto, output: str, path: Path) -> bool:
    """Return whether *output* is a softmax's; one of a softmax is refused, and so is a sigmoid's."""
    made_by = producers(graph.node)

    def maker(value: str) -> onnx.NodeProto | None:
        node = made_by.get(value)
        while node is not None and node.op_type in _SHAPING:
            node = made_by.get(node.input[0])
        return node

    last = maker(output)
    if last is None:
        return False
    if last.op_type == "Sigmoid":
        raise InvalidImport(f"{path}: ends in a sigmoid: independent scores of several labels, not of one class")
    if last.op_type != "Softmax":
        return False
    before = maker(last.input[0])
    if before is not None and before.op_type == "Softmax":
        raise InvalidImport(f"{path}: a second softmax ({last.name or output}) stands on the first: export it with one")
    return True


def _dims(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    return tuple(dim.dim_value if dim.dim_value > 0 else None for dim in value.type.tensor_type.shape.dim)


def _load_weights(model: onnx.ModelProto, path: Path) -> None:
    """Bring weights from files beside the graph into it; they may lie nowhere else."""
    folder = path.parent.resolve()
    total = model.ByteSize()
    for tensor in _tensors(model.graph):
        if not uses_external_data(tensor):
            continue
        location = ExternalDataInfo(tensor).location
        file = (folder / location).resolve()
        if not file.is_relative_to(folder):
            raise InvalidImport(f"{path}: its weights {tensor.name!r} lie in {location!r}, outside of its folder")
        if not file.is_file():
            raise InvalidImport(f"{path}: its weights {tensor.name!r} lie in {location!r}, which is missing")
        total += ExternalDataInfo(tensor).length or file.stat().st_size
    if total > MAX_BYTES:
        raise InvalidImport(f"{path}: {total:,} bytes with its weights, more than the {MAX_BYTES:,} of one ONNX file")
    try:
        load_external_data_for_model(model, str(folder))
    except (onnx.checker.ValidationError, ValueError, OSError) as error:
        raise InvalidImport(f"{path}: its weights cannot be read: {str(error).splitlines()[0]}") from error


def _tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)
