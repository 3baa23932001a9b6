"""Rounds the weights of the first layer together, for the images that it sees.

Each weight to its nearest integer is best for inputs that have nothing to do with each other. Neighbouring pixels are
nearly equal, so that errors of neighbouring weights add up, or cancel if they are chosen so: one weight after the other
is rounded, and those that are not yet take over what its error does to the output, as far as they can (E. Frantar et
al., GPTQ, ICLR 2023, section 3).
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, helper, numpy_helper
from onnx.utils import Extractor

from training.graphs import IMAGES, WEIGHTED, producers

MOST_INPUTS = 4096  # of one output; a first layer has tens or hundreds, of a network that takes patches some thousands
MOST_PATCHES = 1024  # of an image: more say nothing new
DAMPING = 1e-4  # of the mean square of an input: inputs that are always equal could not be told apart without
LARGEST = 127  # of a weight: as far as the quantizer's scales reach on both sides

PATCHES = "patches"

Floats = npt.NDArray[np.float64]


def patches(prepared: onnx.ModelProto) -> onnx.ModelProto | None:
    """Return a graph that gives, for images, what each output of the first layer of *prepared* sees: (N, inputs, H, W).

    None if that layer is no convolution over all channels in float32, or one of too many inputs.
    """
    first = _first_layer(prepared)
    if first is None or first[0].op_type != "Conv" or first[1].dtype != np.float32:
        return None
    layer, weights = first
    inputs = int(np.prod(weights.shape[1:]))
    if inputs > MOST_INPUTS or any(one.i != 1 for one in layer.attribute if one.name == "group"):
        return None
    graph = Extractor(prepared).extract_model([IMAGES], [layer.input[0]])
    same = NodeProto()  # a layer of its shape, each of whose outputs is one of its inputs
    same.CopyFrom(layer)
    same.input[:], same.output[:] = [layer.input[0], "each"], [PATCHES]
    each = np.eye(inputs, dtype=np.float32).reshape(inputs, *weights.shape[1:])
    graph.graph.node.append(same)
    graph.graph.initializer.append(numpy_helper.from_array(each, "each"))
    del graph.graph.output[:]
    graph.graph.output.append(helper.make_tensor_value_info(PATCHES, onnx.TensorProto.FLOAT, None))
    return graph


def moments(maps: Iterable[npt.NDArray[np.float32]]) -> Floats:
    """Return E[x xᵀ], (inputs, inputs), over *maps* of patches, each (inputs, H, W)."""
    random = np.random.default_rng(0)  # at even distances they might all be of one column
    total, count = np.zeros(()), 0
    for seen in maps:
        flat = seen.reshape(len(seen), -1)
        some = random.choice(flat, min(MOST_PATCHES, flat.shape[1]), axis=1, replace=False).astype(np.float64)
        total = total + some @ some.T
        count += some.shape[1]
    return total / count


def round_together(graph: onnx.GraphProto, prepared: onnx.ModelProto, seen: Floats) -> None:
    """Round the first layer's weights in *graph*, which *prepared* was quantized to, for inputs with moments *seen*.

    The scales stay, and so does everything else. Raises `ValueError` where no weights can be found.
    """
    first = _first_layer(prepared)
    if first is None:
        raise ValueError("there is no layer with constant weights")
    layer, weights = first
    quantized = next(node for node in graph.node if node.name == layer.name)
    dequantize = producers(graph.node)[quantized.input[1]]
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    integers, scales = (tensors[name] for name in dequantize.input[:2])
    steps = numpy_helper.to_array(scales).astype(np.float64).reshape(-1, 1)
    rounded = _rounded(weights.reshape(len(weights), -1) / steps, seen)
    integers.CopyFrom(numpy_helper.from_array(rounded.astype(np.int8).reshape(weights.shape), integers.name))


def _rounded(weights: Floats, seen: Floats) -> Floats:
    """Return integers for *weights* (outputs, inputs), in steps, whose outputs are as near as can be one by one."""
    damped = seen + DAMPING * np.diag(seen).mean() * np.eye(len(seen))
    taken_over = np.linalg.cholesky(np.linalg.inv(damped)).T  # by the later inputs (columns) of an error in one (row)
    left, found = weights.copy(), np.empty_like(weights)
    for index, row in enumerate(taken_over):
        found[:, index] = np.rint(left[:, index]).clip(-LARGEST, LARGEST)
        errors = left[:, index] - found[:, index]
        left[:, index + 1 :] -= np.outer(errors / row[index], row[index + 1 :])
    return found


def _first_layer(model: onnx.ModelProto) -> tuple[NodeProto, npt.NDArray[np.float32]] | None:
    """Return the first node with weights and those; None if there is none, or they are computed."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    layer = next((node for node in model.graph.node if node.op_type in WEIGHTED), None)
    if layer is None or layer.input[1] not in constants:
        return None
    return layer, numpy_helper.to_array(constants[layer.input[1]])
