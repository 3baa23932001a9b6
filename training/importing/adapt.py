"""The rebuilding of a foreign graph: uint8 images before it, logits and probabilities behind it, any batch through it.

Nothing is measured here: importer.py proves that the result answers as the original does.
"""

from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, compose, helper, numpy_helper

from models.spec import Geometry, Normalisation
from training.graphs import IMAGES, LOGITS, PROBABILITIES, producers
from training.importing.original import Original

Array = np.ndarray[tuple[int, ...], np.dtype[np.generic]]
Steps = list[tuple[str, list[str], dict[str, Any]]]

INSIDE = "net/"  # begins all names of the original, so that none of ours can be among them
TINY = 1e-30  # the least probability whose logarithm is taken


def adapt(
    original: Original,
    geometry: Geometry,
    normalisation: Normalisation,
    classes: int,
    *,
    probabilities: bool,
    bgr: bool,
) -> onnx.ModelProto:
    """Return a graph of ours around that of *original*: `images` uint8 (batch, H, W, C) → `logits`, `probabilities`.

    *probabilities* says that the original gives those; its logits are then what its softmax takes, or log p.
    """
    model = compose.add_prefix(original.model, INSIDE)
    graph = model.graph
    _free_batch(graph, original.batch)
    before, constants = _prologue(original, normalisation, bgr=bgr)
    behind, more = _epilogue(graph, INSIDE + original.output, classes, probabilities=probabilities)
    nodes = [*before, *graph.node, *behind]
    for part in (*nodes, graph):
        part.ClearField("doc_string")  # exporters leave paths of their machines here
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]  # whose batches are no longer true
    graph.node.extend(_used(nodes))
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in (constants | more).items())
    graph.input.append(helper.make_tensor_value_info(IMAGES, TensorProto.UINT8, ["batch", *geometry.shape]))
    for name in (LOGITS, PROBABILITIES):
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", classes]))
    model.ir_version = max(model.ir_version, 4)  # from which on weights are no inputs
    return model


def _prologue(
    original: Original, normalisation: Normalisation, *, bgr: bool
) -> tuple[list[NodeProto], dict[str, Array]]:
    """Layout, cast, `pixel · (scale / std) + (−mean / std)` per channel, the order of channels, the type.

    The layout changes first, while a pixel is one byte.
    """
    std = np.array(normalisation.std, np.float64)
    first = original.layout == "nchw"
    shape = (-1, 1, 1) if first else (-1,)  # (C, 1, 1) or (C,)
    constants: dict[str, Array] = {
        "normalize_weight": (normalisation.scale / std).astype(np.float32).reshape(shape),
        "normalize_bias": (-np.array(normalisation.mean, np.float64) / std).astype(np.float32).reshape(shape),
    }
    steps: Steps = [
        *([("Transpose", [], {"perm": [0, 3, 1, 2]})] if first else []),
        ("Cast", [], {"to": TensorProto.FLOAT}),
        ("Mul", ["normalize_weight"], {}),
        ("Add", ["normalize_bias"], {}),
    ]
    if bgr and original.channels == 3:
        constants["bgr"] = np.array([2, 1, 0], np.int64)
        steps.append(("Gather", ["bgr"], {"axis": 1 if first else 3}))
    if original.kind != TensorProto.FLOAT:
        steps.append(("Cast", [], {"to": original.kind}))
    nodes, value = [], IMAGES
    for number, (kind, inputs, attributes) in enumerate(steps, 1):
        output = INSIDE + original.input if number == len(steps) else f"prologue_{number}"
        nodes.append(helper.make_node(kind, [value, *inputs], [output], name=f"prologue_{number}", **attributes))
        value = output
    return nodes, constants


def _epilogue(
    graph: onnx.GraphProto, output: str, classes: int, *, probabilities: bool
) -> tuple[list[NodeProto], dict[str, Array]]:
    """Logits as float32 (batch, K), and their softmax."""
    constants: dict[str, Array] = {"shape": np.array([-1, classes], np.int64)}
    last = producers(graph.node).get(output)
    peeled = probabilities and last is not None and last.op_type == "Softmax"
    value = last.input[0] if peeled and last is not None else output
    steps: Steps = [
        ("Cast", [], {"to": TensorProto.FLOAT}),
        ("Reshape", ["shape"], {}),
    ]
    if probabilities and not peeled:
        constants["tiny"] = np.array(TINY, np.float32)
        steps += [("Max", ["tiny"], {}), ("Log", [], {})]
    nodes = []
    for number, (kind, inputs, attributes) in enumerate(steps, 1):
        made = LOGITS if number == len(steps) else f"epilogue_{number}"
        nodes.append(helper.make_node(kind, [value, *inputs], [made], name=f"epilogue_{number}", **attributes))
        value = made
    nodes.append(helper.make_node("Softmax", [LOGITS], [PROBABILITIES], name="softmax", axis=1))
    return nodes, constants


def _free_batch(graph: onnx.GraphProto, batch: int | None) -> None:
    """Let reshapes that name the frozen batch take any: −1 is what is left over, 0 what comes in."""
    if batch is None:
        return
    constants = {tensor.name: tensor for tensor in graph.initializer}
    constants |= {
        node.output[0]: node.attribute[0].t
        for node in graph.node
        if node.op_type == "Constant" and node.attribute[0].HasField("t")
    }
    for node in graph.node:
        tensor = constants.get(node.input[1]) if node.op_type == "Reshape" else None
        if tensor is None:
            continue
        shape = numpy_helper.to_array(tensor).copy()
        if shape.ndim != 1 or len(shape) < 2 or shape[0] != batch:
            continue
        shape[0] = 0 if -1 in shape else -1
        tensor.CopyFrom(numpy_helper.from_array(shape, tensor.name))
        kept = [attribute for attribute in node.attribute if attribute.name != "allowzero"]
        del node.attribute[:]
        node.attribute.extend(kept)


def _used(nodes: list[NodeProto]) -> list[NodeProto]:
    """Drop what no output needs any more."""
    needed, kept = {LOGITS, PROBABILITIES}, []
    for node in reversed(nodes):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
            for attribute in node.attribute:
                for inner in (attribute.g, *attribute.graphs):
                    needed |= {name for step in inner.node for name in step.input}
    return kept[::-1]
