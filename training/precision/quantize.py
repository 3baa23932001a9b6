"""A graph whose layers compute with 8-bit integers, for CPUs, by ONNX Runtime's quantizer.

What is before the first layer with weights (normalisation) and what is behind the logits (softmax) stays in floats.
"""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from training.data import Pixels
from training.graphs import IMAGES, LOGITS, WEIGHTED, outside_layers, producers

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


def to_int8(model: onnx.ModelProto, batches: Iterator[Pixels]) -> onnx.ModelProto:
    """Return *model* with its layers in 8 bits: weights with a scale for each channel, activations static (QDQ).

    The activations' ranges are from the least to the greatest values that *batches*, uint8 (N, H, W, C), bring about.
    """
    with tempfile.TemporaryDirectory() as folder, _without_advice():
        source, prepared, quantized = (Path(folder) / name for name in ("fp32.onnx", "prepared.onnx", "int8.onnx"))
        onnx.save(model, source)
        quant_pre_process(source, prepared, skip_symbolic_shape=True)  # folds batch normalisation, infers shapes
        graph = onnx.load(prepared)
        _name_nodes(graph.graph)
        onnx.save(graph, prepared)
        quantize_static(
            prepared,
            quantized,
            _Reader(batches),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=INT8_OPERATORS,
            nodes_to_exclude=[node.name for node in outside_layers(graph.graph)],
            per_channel=True,
            activation_type=QuantType.QUInt8,  # unsigned × signed is what VNNI multiplies
            weight_type=QuantType.QInt8,
            calibration_providers=["CPUExecutionProvider"],
        )
        result = onnx.load(quantized)
    del result.metadata_props[:]
    _unround_logits(result.graph)
    return result


def _name_nodes(graph: onnx.GraphProto) -> None:
    """Give each node a name of its own: the tools exclude nodes by name."""
    for index, node in enumerate(graph.node):
        node.name = f"node_{index}_{node.op_type}"


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
    used = {name for node in graph.node for name in node.input}
    for initializer in [value for value in graph.initializer if value.name not in used]:
        graph.initializer.remove(initializer)


class _Reader(CalibrationDataReader):  # type: ignore[misc] # onnxruntime ships no types
    """Batches of images as the quantizer asks for them."""

    def __init__(self, batches: Iterator[Pixels]) -> None:
        self._batches = batches

    def get_next(self) -> dict[str, Pixels] | None:
        """Return the next batch as the graph's input; None when there are no more."""
        batch = next(self._batches, None)
        return None if batch is None else {IMAGES: batch}


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
