"""A graph whose layers compute with 8-bit integers, for CPUs, by ONNX Runtime's quantizer.

What is before the first layer with weights (normalisation) and what is behind the logits (softmax) stays in floats.
Which ranges suit the values is ranges.py's; which of them are chosen is choice.py's.
"""

import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.calibrate import TensorData, TensorsData, save_tensors_data
from onnxruntime.quantization.shape_inference import quant_pre_process

from training.data import Pixels
from training.graphs import IMAGES, LOGITS, WEIGHTED, drop_unused_constants, outside_layers, producers
from training.precision import rounding
from training.precision.pixels import normalise_rows
from training.precision.ranges import Histogram, Range

# With what lies between two layers with weights, or the way between them would lead through floats.
INT8_OPERATORS = [
    *WEIGHTED,
    "Add",
    "AveragePool",
    "Clip",
    "Concat",
    "Flatten",
    "GlobalAveragePool",
    "MaxPool",
    "Relu",
    "Reshape",
    "Sigmoid",
    "Squeeze",
    "Transpose",
]


def prepare(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return *model* with batch normalisation folded, shapes inferred, and a name of its own for each node."""
    with tempfile.TemporaryDirectory() as folder, _without_advice():
        source, prepared = (Path(folder) / name for name in ("fp32.onnx", "prepared.onnx"))
        onnx.save(model, source)
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        graph = onnx.load(prepared)
    for index, node in enumerate(graph.graph.node):
        node.name = f"node_{index}_{node.op_type}"  # the tools exclude nodes by name
    return graph


def observe(prepared: onnx.ModelProto, batches: Iterable[Pixels]) -> dict[str, Histogram]:
    """Return what the values between the layers of *prepared* were on *batches*, uint8 (N, H, W, C)."""
    model = onnx.ModelProto()
    model.CopyFrom(prepared)
    known = {value.name: value for value in (*model.graph.value_info, *model.graph.output)}
    outputs = {value.name for value in model.graph.output}
    outside = {node.name for node in outside_layers(model.graph)}
    floats = [
        name
        for node in model.graph.node
        if node.name not in outside and node.op_type in INT8_OPERATORS
        for name in (*node.input, *node.output)
        if name in known and known[name].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    ]
    names = list(dict.fromkeys(floats))
    model.graph.output.extend(known[name] for name in names if name not in outputs)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    seen = {name: Histogram() for name in names}
    for images in batches:
        for name, values in zip(names, session.run(names, {IMAGES: images}), strict=True):
            seen[name].add(values)
    return seen


def moments(prepared: onnx.ModelProto, batches: Iterable[Pixels]) -> rounding.Floats | None:
    """Return the moments of what the first layer of *prepared* sees on *batches*; None if it is rounded by itself."""
    graph = rounding.patches(prepared)
    if graph is None:
        return None
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    images = (image for batch in batches for image in batch)  # one by one: each pixel is there many times
    return rounding.moments(session.run(None, {IMAGES: image[np.newaxis]})[0][0] for image in images)


def to_int8(
    prepared: onnx.ModelProto, ranges: Mapping[str, Range], seen: rounding.Floats | None = None
) -> onnx.ModelProto:
    """Return *prepared* with its layers in 8 bits: weights with a scale for each channel, activations static (QDQ).

    *ranges* are those of its values; *seen* are the `moments` of what its first layer sees.
    """
    limits = {
        name: TensorData(lowest=np.array(low, np.float32), highest=np.array(high, np.float32))
        for name, (low, high) in ranges.items()
    }
    with tempfile.TemporaryDirectory() as folder, _without_advice():
        source, known, quantized = (Path(folder) / name for name in ("prepared.onnx", "ranges.json", "int8.onnx"))
        onnx.save(prepared, source)
        save_tensors_data(TensorsData(CalibrationMethod.MinMax, limits), known)
        quantize_static(
            source,
            quantized,
            None,
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=INT8_OPERATORS,
            nodes_to_exclude=[node.name for node in outside_layers(prepared.graph)],
            per_channel=True,
            activation_type=QuantType.QUInt8,  # unsigned × signed is what VNNI multiplies
            weight_type=QuantType.QInt8,
            calibration_providers=["CPUExecutionProvider"],
            calibration_cache_path=known,
        )
        result = onnx.load(quantized)
    del result.metadata_props[:]
    if seen is not None:
        rounding.round_together(result.graph, prepared, seen)
    _unround_logits(result.graph)
    normalise_rows(result.graph)
    return result


def _unround_logits(graph: onnx.GraphProto) -> None:
    """Take the last rounding away: 256 values of a logit would make ties, and the layer's sums are exact anyway."""
    made_by = producers(graph.node)
    dequantize = made_by.get(LOGITS)
    if dequantize is None or dequantize.op_type != "DequantizeLinear":
        return
    quantize = made_by[dequantize.input[0]]
    last = made_by[quantize.input[0]]
    last.output[:] = [LOGITS if name == quantize.input[0] else name for name in last.output]
    for node in (quantize, dequantize):
        graph.node.remove(node)
    drop_unused_constants(graph)


@contextmanager
def _without_advice() -> Iterator[None]:
    """Silence the quantizer's advice to do what has been done, and its notes on each value it leaves alone."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
