"""Ways through an ONNX graph: where its layers begin and end, what the classifier sees, and its spec.

Knows nodes and the names of values; nothing is computed here.
"""

from collections.abc import Iterable

import onnx
from onnx import TensorProto, helper

from models.spec import METADATA_KEY, ModelSpec
from training.errors import ExportRefused

WEIGHTED = ("Conv", "Gemm", "MatMul")
IMAGES, LOGITS, PROBABILITIES, FEATURES = "images", "logits", "probabilities", "features"
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


def producers(nodes: Iterable[onnx.NodeProto]) -> dict[str, onnx.NodeProto]:
    """Return the node that makes each value."""
    return {output: node for node in nodes for output in node.output}


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
