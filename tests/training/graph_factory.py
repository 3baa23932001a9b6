"""Small ONNX graphs for tests, written by hand."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper


def node(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> NodeProto:
    """A node with one output, named after it."""
    return helper.make_node(kind, list(inputs), [output], name=f"node_{output}", **attributes)


def make_model(
    nodes: Sequence[NodeProto],
    takes: Sequence[int | str],
    gives: dict[str, Sequence[int | str]],
    constants: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]],
    *,
    kind: int = TensorProto.FLOAT,
    gives_kind: int = TensorProto.FLOAT,
    name: str = "input",
) -> onnx.ModelProto:
    """A checked model."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(name, kind, list(takes))],
        [helper.make_tensor_value_info(output, gives_kind, list(shape)) for output, shape in gives.items()],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model
