"""Ways through an ONNX graph: where its layers begin and end, what the classifier sees, its temperature and its spec.

Knows nodes and the names of values; nothing is computed here.
"""

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.spec import METADATA_KEY, ModelSpec
from training.errors import ExportRefused

WEIGHTED = ("Conv", "Gemm", "MatMul")
IMAGES, LOGITS, PROBABILITIES, FEATURES = "images", "logits", "probabilities", "features"
TEMPERATURE = "temperature"
# What may stand between the last layer with weights and the logits, for that layer still to be the classifier.
_PASSIVE = ("Add", "Cast", "Flatten", "GlobalAveragePool", "Identity", "Relu", "ReduceMean", "Reshape", "Squeeze")


def with_spec(model: onnx.ModelProto, spec: ModelSpec) -> bytes:
    """Put *spec* into the metadata of *model*, which is changed, check it, and return the model file."""
    helper.set_model_props(model, {METADATA_KEY: spec.model_dump_json()})
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def outside_layers(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Return the nodes before the first layer with weights, and those behind the logits: normalisation and softmax."""
    deep: set[str] = set()  # values that a layer with weights has had a hand in
    behind: set[str] = {LOGITS}
    outside = []
    for node in graph.node:  # in topological order, as ONNX demands
        if behind & set(node.input):
            behind |= set(node.output)
            outside.append(node)
        elif node.op_type in WEIGHTED or deep & set(node.input):
            deep |= set(node.output)
        else:
            outside.append(node)
    return outside


def add_features(model: onnx.ModelProto) -> int:
    """Make what the classifier sees an output of *model*, `features` (N, D), and return D.

    The classifier is the last layer with weights; where it is a convolution, each of its input's maps counts with its
    mean. Raises `ExportRefused` if there is none to be found.
    """
    graph = model.graph
    classifier = _classifier(graph)
    seen = classifier.input[0]
    inferred = onnx.shape_inference.infer_shapes(model).graph
    shapes = {value.name: value.type.tensor_type.shape.dim for value in (*inferred.value_info, *inferred.input)}
    if seen not in shapes:
        raise ExportRefused("features: the shape of what the classifier sees is not known")
    length = int(shapes[seen][1].dim_value)
    if len(shapes[seen]) == 4:
        pooled = f"{FEATURES}_pooled"
        new = [
            helper.make_node("GlobalAveragePool", [seen], [pooled], name="node_features_pool"),
            helper.make_node("Flatten", [pooled], [FEATURES], name="node_features", axis=1),
        ]
    else:
        new = [helper.make_node("Identity", [seen], [FEATURES], name="node_features")]
    at = next(index for index, node in enumerate(graph.node) if node.name == classifier.name)
    for node in reversed(new):
        graph.node.insert(at, node)
    graph.output.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["batch", length]))
    return length


def temperature(model: onnx.ModelProto) -> float:
    """Return what *model* divides its logits by before their softmax; 1 where they go into it as they are.

    Raises `ExportRefused` where anything else is done to them.
    """
    scaling = _between_logits_and_softmax(model.graph)
    if not scaling:
        return 1.0
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    divisor = constants.get(scaling[0].input[1]) if len(scaling) == 1 and scaling[0].op_type == "Div" else None
    if divisor is None:
        raise ExportRefused(f"{PROBABILITIES}: {scaling[0].op_type} before the softmax, which is no temperature")
    return float(numpy_helper.to_array(divisor))


def set_temperature(model: onnx.ModelProto, value: float) -> None:
    """Make `probabilities` of *model*, which is changed, the softmax of `logits` ÷ *value*."""
    graph = model.graph
    softmax = producers(graph.node)[PROBABILITIES]
    for node in _between_logits_and_softmax(graph):
        graph.node.remove(node)
    softmax.input[0] = LOGITS
    drop_unused_constants(graph)
    if value != 1:
        scaled = f"{LOGITS}_scaled"
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), TEMPERATURE))
        at = next(index for index, node in enumerate(graph.node) if node.name == softmax.name)
        graph.node.insert(at, helper.make_node("Div", [LOGITS, TEMPERATURE], [scaled], name=f"node_{TEMPERATURE}"))
        graph.node[at + 1].input[0] = scaled


def drop_unused_constants(graph: onnx.GraphProto) -> None:
    """Forget the constants that no node takes any more."""
    used = {name for node in graph.node for name in node.input}
    for constant in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(constant)


def producers(nodes: Iterable[onnx.NodeProto]) -> dict[str, onnx.NodeProto]:
    """Return the node that makes each value."""
    return {output: node for node in nodes for output in node.output}


def _between_logits_and_softmax(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Return the nodes there, the last one first; raises `ExportRefused` where no softmax of `logits` is the end."""
    made_by = producers(graph.node)
    softmax = made_by.get(PROBABILITIES)
    if softmax is None or softmax.op_type != "Softmax":
        raise ExportRefused(f"{PROBABILITIES}: not made by a softmax")
    value, found = softmax.input[0], []
    while value != LOGITS:
        if value not in made_by:
            raise ExportRefused(f"{PROBABILITIES}: not the softmax of {LOGITS}")
        found.append(made_by[value])
        value = found[-1].input[0]
    return found


def _classifier(graph: onnx.GraphProto) -> onnx.NodeProto:
    made_by = producers(graph.node)
    value = LOGITS
    while (node := made_by.get(value)) is not None:
        if node.op_type in WEIGHTED:
            return node
        if node.op_type not in _PASSIVE:
            break
        value = next((name for name in node.input if name in made_by), "")
    raise ExportRefused("features: no layer with weights stands directly before the logits")
