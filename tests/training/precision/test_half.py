"""training/precision/half.py."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from models.store import ModelStore
from tests.training.graph_factory import make_model, node
from tests.training.test_export import spec_of
from training.precision.half import to_fp16
from training.publish import Exported


def run(model: onnx.ModelProto, images: object) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """What ONNX Runtime answers."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    outputs: list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = session.run(None, {"images": images})
    return outputs


def a_classifier(scale: float = 1) -> onnx.ModelProto:
    """Normalisation, a layer with weights, softmax."""
    rng = np.random.default_rng(0)
    return make_model(
        [
            node("Cast", ["images"], "floats", to=TensorProto.FLOAT),
            node("Mul", ["floats", "scale"], "normal"),
            node("MatMul", ["normal", "weights"], "sums"),
            node("Relu", ["sums"], "logits"),
            node("Softmax", ["logits"], "probabilities", axis=1),
        ],
        ["N", 8],
        {"logits": ["N", 3], "probabilities": ["N", 3]},
        {
            "scale": np.float32(1 / 255).reshape(1),
            "weights": rng.normal(size=(8, 3)).astype(np.float32) * np.float32(scale),
        },
        kind=TensorProto.UINT8,
        name="images",
    )


def test_layers_are_halved_and_nothing_else() -> None:
    """Normalisation keeps its constant, softmax gets floats, and the outputs are what they were."""
    model = a_classifier()
    images = np.random.default_rng(1).integers(0, 256, (5, 8), np.uint8)

    half = to_fp16(model)

    onnx.checker.check_model(half, full_check=True)
    kinds = {tensor.name: tensor.data_type for tensor in half.graph.initializer}
    assert kinds == {"scale": TensorProto.FLOAT, "weights_fp16": TensorProto.FLOAT16}
    types = [value.type.tensor_type.elem_type for value in half.graph.output]
    assert types == [TensorProto.FLOAT, TensorProto.FLOAT]
    for got, want in zip(run(half, images), run(model, images), strict=True):
        np.testing.assert_allclose(got, want, atol=5e-3)
        assert got.dtype == np.float32
    assert [entry.op_type for entry in model.graph.node] == ["Cast", "Mul", "MatMul", "Relu", "Softmax"]


def test_weights_beyond_half_precision_become_infinite() -> None:
    """Which the ladder sees and refuses."""
    logits, _ = run(to_fp16(a_classifier(scale=1e6)), np.full((1, 8), 255, np.uint8))

    assert not np.isfinite(logits).all()


def test_a_graph_with_graphs_inside_is_not_rewritten() -> None:
    """It is left to fp32."""
    model = a_classifier()
    branch = helper.make_graph([], "branch", [], [])
    condition = helper.make_node("If", ["condition"], ["unused"], then_branch=branch, else_branch=branch)
    model.graph.node.append(condition)

    with pytest.raises(ValueError, match="If has a graph inside"):
        to_fp16(model)


def test_the_file_in_half_precision_is_half_as_large(settled: Exported) -> None:
    """And it says what it is."""
    file = ModelStore(settled.path.parents[2]).read("lenet", settled.version, "fp16")

    assert 0.45 < len(file.data) / settled.size_bytes < 0.65
    assert spec_of(file.path).precision == "fp16"
