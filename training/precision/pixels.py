"""Normalisation in front of an int8 network, in the layout that its first layer takes pixels in.

ONNX Runtime's integer convolutions take channels last, as images come. So it moves the transposition that a float
network needs behind the normalisation, where it falls away, and what is left multiplies each pixel by three numbers: in
vectors of three, which takes several times as long as in long ones. Here a row of pixels is one vector.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from training.graphs import IMAGES, drop_unused_constants

_CHANNELS_FIRST = [0, 3, 1, 2]
_MOVING = ("Transpose", "Cast")
_NORMALISING = ("Add", "Div", "Mul", "Sub")
_ROWS, _WHOLE = f"{IMAGES}_rows", f"{IMAGES}_whole"

FLOAT = TensorProto.FLOAT

Constants = dict[str, npt.NDArray[np.generic]]


def normalise_rows(graph: onnx.GraphProto) -> None:
    """Let *graph*, which is changed, normalise rows of pixels, where integers are made of them directly behind it.

    Only for images of several channels that are transposed, cast and then normalised, by a number for each channel or
    one for all; other graphs stay as they are.
    """
    height, width, channels = (size.dim_value for size in graph.input[0].type.tensor_type.shape.dim[1:])
    constants: Constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes = _from_images_to_integers(graph)
    if channels == 1 or not _is_normalisation(nodes, constants, channels):
        return
    steps = nodes[2:]  # behind transposition and cast
    shapes = {_ROWS: (0, height, width * channels), _WHOLE: (0, height, width, channels)}  # 0: the batch, as it is
    new: Constants = {f"{name}_shape": np.array(shape, np.int64) for name, shape in shapes.items()}
    flat = [_node("Reshape", [IMAGES, f"{_ROWS}_shape"], _ROWS), _node("Cast", [_ROWS], f"{_ROWS}_cast", to=FLOAT)]
    for step in steps:
        constant = f"{step.input[1]}_rows"
        new[constant] = np.tile(np.resize(constants[step.input[1]], channels), width)
        flat.append(_node(step.op_type, [flat[-1].output[0], constant], f"{step.output[0]}_rows"))
    flat += [
        _node("Reshape", [flat[-1].output[0], f"{_WHOLE}_shape"], _WHOLE),
        _node("Transpose", [_WHOLE], steps[-1].output[0], perm=_CHANNELS_FIRST),
    ]
    _replace(graph, nodes, flat, new)


def _from_images_to_integers(graph: onnx.GraphProto) -> list[NodeProto]:
    """Return the nodes on the only way from the images to the first integers, none if it forks or leads elsewhere."""
    found: list[NodeProto] = []
    value = IMAGES
    while len(takers := [node for node in graph.node if value in node.input]) == 1:
        if takers[0].op_type == "QuantizeLinear":
            return found
        if takers[0].op_type not in (*_MOVING, *_NORMALISING):
            return []
        found += takers
        value = takers[0].output[0]
    return []


def _is_normalisation(nodes: Sequence[NodeProto], constants: Constants, channels: int) -> bool:
    kinds, steps = [node.op_type for node in nodes], nodes[2:]
    if tuple(kinds[:2]) != _MOVING or not set(kinds[2:]) <= set(_NORMALISING):
        return False
    perm = next((list(attribute.ints) for attribute in nodes[0].attribute if attribute.name == "perm"), [])
    shapes = [constants[node.input[1]].shape if node.input[1] in constants else (0,) for node in steps]
    known = [np.prod(shape) == 1 or (shape[-3:] == (channels, 1, 1) and np.prod(shape) == channels) for shape in shapes]
    return perm == _CHANNELS_FIRST and bool(steps) and all(known)


def _node(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> NodeProto:
    return helper.make_node(kind, list(inputs), [output], name=f"node_{output}", **attributes)


def _replace(graph: onnx.GraphProto, old: Sequence[NodeProto], new: Sequence[NodeProto], constants: Constants) -> None:
    """Put *new* nodes first, in place of *old* ones, with their constants; forget what nobody takes any more."""
    gone = {node.output[0] for node in old}
    nodes = [*new, *(node for node in graph.node if node.output[0] not in gone)]
    values = [value for value in graph.value_info if value.name not in gone]
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.value_info.extend(values)
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    drop_unused_constants(graph)
