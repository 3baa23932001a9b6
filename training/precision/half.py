"""A graph whose layers compute in half precision, with everything around them, and all inputs and outputs, as it was.

Our own because onnxruntime's converter also rounds what it is told to leave alone: the normalisation's constants, and
each value between two nodes of it.
"""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from training.graphs import outside_layers

HALF = "_fp16"  # ends the name of a value in half precision
FLOAT, FLOAT16 = TensorProto.FLOAT, TensorProto.FLOAT16
WHOLE = ("CumSum", "NonMaxSuppression", "Range", "Resize", "RoiAlign", "Softmax", "TopK", "Upsample")  # stay in floats
GRAPHS = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)


def to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return *model* with its layers in half precision; weights that do not fit become infinite.

    Raises `ValueError` for a graph with graphs inside.
    """
    return _Conversion(model).run()


class _Conversion:
    """What is known of one graph while it is rewritten: which values are floats, and which nodes stay as they are."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = onnx.ModelProto()
        self._model.CopyFrom(model)
        graph = self._model.graph
        self._weights = {tensor.name: tensor for tensor in graph.initializer if tensor.data_type == FLOAT}
        inferred = onnx.shape_inference.infer_shapes(model).graph
        values = (*inferred.value_info, *inferred.input, *inferred.output)
        self._floats = {value.name for value in values if value.type.tensor_type.elem_type == FLOAT}
        stay = {node.output[0] for node in outside_layers(graph)}
        self._stay = stay | {node.output[0] for node in graph.node if node.op_type in WHOLE}
        self._halved: dict[str, TensorProto] = {}

    def run(self) -> onnx.ModelProto:
        """Rewrite the graph."""
        graph = self._model.graph
        needed_whole = {value.name for value in graph.output}
        for node in graph.node:
            if any(attribute.type in GRAPHS for attribute in node.attribute):
                raise ValueError(f"{node.op_type} has a graph inside")
            if node.output[0] in self._stay:
                needed_whole |= set(node.input)
        made_whole = {value.name for value in graph.input}
        nodes = [step for node in graph.node for step in self._rewrite(node, needed_whole, made_whole)]
        used = {name for node in nodes for name in node.input}
        kept = [tensor for tensor in graph.initializer if tensor.name in used]
        del graph.node[:], graph.initializer[:], graph.value_info[:]  # whose types are no longer true
        graph.node.extend(nodes)
        graph.initializer.extend([*kept, *self._halved.values()])
        return self._model

    def _rewrite(self, node: NodeProto, needed_whole: set[str], made_whole: set[str]) -> Iterator[NodeProto]:
        """Yield *node* as it is, or in half precision with the casts that it needs before and behind it."""
        if node.output[0] in self._stay:
            made_whole |= set(node.output)
            yield node
            return
        for index, name in enumerate(node.input):
            if name in self._weights:
                node.input[index] = self._halve(name)
            elif name in self._floats:
                node.input[index] = name + HALF
                if name in made_whole:
                    made_whole.remove(name)  # one cast is enough
                    yield helper.make_node("Cast", [name], [name + HALF], name=f"{name}_to_fp16", to=FLOAT16)
        _halve_attributes(node)
        behind = []
        for index, name in enumerate(node.output):
            if name in self._floats:
                node.output[index] = name + HALF
                if name in needed_whole:
                    behind.append(helper.make_node("Cast", [name + HALF], [name], name=f"{name}_to_fp32", to=FLOAT))
        yield node
        yield from behind

    def _halve(self, name: str) -> str:
        self._halved[name] = _half(self._weights[name], name + HALF)
        return name + HALF


def _half(tensor: TensorProto, name: str) -> TensorProto:
    with np.errstate(over="ignore"):
        return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), name)


def _halve_attributes(node: NodeProto) -> None:
    """Constants, and the types that casts name."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == FLOAT:
            attribute.t.CopyFrom(_half(attribute.t, attribute.t.name))
        elif node.op_type == "Cast" and attribute.name == "to" and attribute.i == FLOAT:
            attribute.i = FLOAT16
