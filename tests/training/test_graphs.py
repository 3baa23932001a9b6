"""training/graphs.py."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from models.store import ModelStore
from tests.training.graph_factory import make_model, node
from tests.training.test_export import spec_of
from training import checkpoint
from training.confidence import softmax
from training.errors import ExportRefused
from training.export import export, to_onnx
from training.fit import Run
from training.graphs import add_features, outside_layers, set_temperature, temperature

IMAGE = np.random.default_rng(0).normal(size=(2, 2, 6, 6)).astype(np.float32)


def all_convolutional() -> onnx.ModelProto:
    """A network whose classifier is a convolution."""
    rng = np.random.default_rng(0)
    return make_model(
        [
            node("Mul", ["images", "two"], "normal"),
            node("Conv", ["normal", "first"], "maps"),
            node("Relu", ["maps"], "active"),
            node("Conv", ["active", "second"], "classes"),
            node("GlobalAveragePool", ["classes"], "means"),
            node("Flatten", ["means"], "logits"),
            node("Softmax", ["logits"], "probabilities"),
        ],
        ["N", 2, 6, 6],
        {"logits": ["N", 3], "probabilities": ["N", 3]},
        {
            "two": np.float32(2).reshape(1),
            "first": rng.normal(size=(5, 2, 3, 3)).astype(np.float32),
            "second": rng.normal(size=(3, 5, 1, 1)).astype(np.float32),
        },
        name="images",
    )


def weights_of_the_classifier(path: Path) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """Matrix and bias of the Gemm that gives the logits."""
    graph = onnx.load(path).graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    classifier = next(entry for entry in graph.node if "logits" in entry.output)
    return [onnx.numpy_helper.to_array(tensors[name]) for name in classifier.input[1:]]


def test_what_is_outside_of_the_layers_is_known() -> None:
    """Normalisation before, softmax behind."""
    assert [entry.op_type for entry in outside_layers(all_convolutional().graph)] == ["Mul", "Softmax"]


def test_features_of_a_network_without_a_fully_connected_layer() -> None:
    """The mean of each map that the last convolution sees."""
    model = all_convolutional()

    length = add_features(model)

    onnx.checker.check_model(model, full_check=True)
    assert length == 5
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    logits, features = session.run(["logits", "features"], {"images": IMAGE})
    second = onnx.numpy_helper.to_array(model.graph.initializer[2])[:, :, 0, 0]
    np.testing.assert_allclose(features @ second.T, logits, rtol=1e-4, atol=1e-4)


def test_features_that_cannot_be_found_are_refused() -> None:
    """Behind the last layer stands what no classifier has."""
    model = all_convolutional()
    for entry in model.graph.node:
        entry.op_type = entry.op_type.replace("Relu", "Abs").replace("Flatten", "Abs")

    with pytest.raises(ExportRefused, match="features: no layer with weights"):
        add_features(model)


def test_features_are_the_third_output_in_every_precision(run: Run, tmp_path: Path) -> None:
    """84 numbers an image for LeNet; the classifier's weights make logits of them."""
    exported = export(run.best, ModelStore(tmp_path), features=True, precisions=["fp16"])
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), np.uint8)

    for precision in ("fp32", "fp16"):
        file = ModelStore(tmp_path).read("lenet", 1, precision)
        session = onnxruntime.InferenceSession(file.data, providers=["CPUExecutionProvider"])
        features, logits = session.run(["features", "logits"], {"images": images})
        matrix, bias = weights_of_the_classifier(exported.path)

        assert features.shape == (3, 84)
        assert spec_of(file.path).features == 84
        np.testing.assert_allclose(features @ matrix.T + bias, logits, atol=0.02)


def test_the_temperature_of_a_graph_can_be_set_read_and_taken_out() -> None:
    """Probabilities are softmax(logits / T); at 1 the graph is what it was."""
    model = all_convolutional()
    untouched = model.SerializeToString(deterministic=True)

    assert temperature(model) == 1
    for value in (2.5, 0.5, 1):
        set_temperature(model, value)
        onnx.checker.check_model(model, full_check=True)
        assert temperature(model) == value
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        logits, probabilities = session.run(["logits", "probabilities"], {"images": IMAGE})
        np.testing.assert_allclose(probabilities, softmax(logits, value), atol=1e-6)

    assert model.SerializeToString(deterministic=True) == untouched


def test_the_exporter_s_temperature_is_read(run: Run) -> None:
    """As torch writes it."""
    blueprint, network = checkpoint.load(run.best)

    for value in (1.0, 1.75):
        network.temperature = value
        assert temperature(to_onnx(network, blueprint.geometry)) == value


@pytest.mark.parametrize("kind", ["Mul", "Relu"])
def test_what_is_no_temperature_is_refused(kind: str) -> None:
    """Something else between logits and softmax."""
    model = all_convolutional()
    last = model.graph.node.pop()
    inputs = ["logits", "two"] if kind == "Mul" else ["logits"]
    model.graph.node.extend([node(kind, inputs, "other"), node("Softmax", ["other"], "probabilities")])

    assert last.op_type == "Softmax"
    with pytest.raises(ExportRefused, match=f"{kind} before the softmax, which is no temperature"):
        temperature(model)
