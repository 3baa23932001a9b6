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
import onnxruntime
from onnx import NodeProto, helper, numpy_helper
from onnx.utils import Extractor

from training.data import Pixels
from training.graphs import IMAGES, WEIGHTED, producers

MOST_INPUTS = 4096  # of one output; a first layer has tens or hundreds, of a network that takes patches some thousands
PATCHES = 1024  # of an image, at most: more say nothing new
DAMPING = 1e-4  # of the mean square of an input: inputs that are always equal could not be told apart without
LARGEST = 127  # of a weight: as far as the quantizer's scales reach on both sides

Floats = npt.NDArray[np.float64]


def moments(prepared: onnx.ModelProto, batches: Iterable[Pixels]) -> Floats | None:
    """Return E[x xᵀ] of what one output of the first layer sees, (inputs, inputs), on *batches*, uint8 (N, H, W, C).

    None if that layer is no convolution over all channels in float32, or one of too many inputs.
    """
    layer, weights = _first_layer(prepared)
    if layer is None or layer.op_type != "Conv" or weights.dtype != np.float32:
        return None
    inputs = int(np.prod(weights.shape[1:]))
    if not 0 < inputs <= MOST_INPUTS or any(one.i != 1 for one in layer.attribute if one.name == "group"):
        return None
    see = _patches(prepared, layer, np.eye(inputs, dtype=np.float32).reshape(inputs, *weights.shape[1:]))
    random = np.random.default_rng(0)  # at even distances they might all be of one column
    total, count = np.zeros((inputs, inputs)), 0
    for image in (image for images in batches for image in images):
        seen = see.run(None, {IMAGES: image[np.newaxis]})[0].reshape(inputs, -1)
        some = random.choice(seen, min(PATCHES, seen.shape[1]), axis=1, replace=False).astype(np.float64)
        total += some @ some.T
        count += some.shape[1]
    return total / count if count else None


def round_together(graph: onnx.GraphProto, prepared: onnx.ModelProto, seen: Floats) -> None:
    """Round the first layer's weights in *graph*, which *prepared* was quantized to, for inputs with moments *seen*.

    The scales stay, and so does everything else.
    """
    layer, weights = _first_layer(prepared)
    quantized = next(node for node in graph.node if layer is not None and node.name == layer.name)
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


def _first_layer(model: onnx.ModelProto) -> tuple[NodeProto | None, npt.NDArray[np.float32]]:
    """Return the first node with weights, None if there is none, and those, none where they are computed."""
    layer = next((node for node in model.graph.node if node.op_type in WEIGHTED), None)
    known = (tensor for tensor in model.graph.initializer if layer is not None and tensor.name == layer.input[1])
    weights = next(known, None)
    return layer, np.empty((0, 0), np.float32) if weights is None else numpy_helper.to_array(weights)


def _patches(model: onnx.ModelProto, layer: NodeProto, each: npt.NDArray[np.float32]) -> onnxruntime.InferenceSession:
    """Return what gives each input of *layer* as a channel: a layer of its shape whose weights are *each*."""
    before = Extractor(model).extract_model([IMAGES], [layer.input[0]])
    copy = NodeProto()
    copy.CopyFrom(layer)
    copy.input[:], copy.output[:] = [layer.input[0], "each"], ["patches"]
    before.graph.node.append(copy)
    before.graph.initializer.append(numpy_helper.from_array(each, "each"))
    del before.graph.output[:]
    before.graph.output.append(helper.make_tensor_value_info("patches", onnx.TensorProto.FLOAT, None))
    return onnxruntime.InferenceSession(before.SerializeToString(), providers=["CPUExecutionProvider"])
