"""service/session.py and service/lifecycle.py: what is loaded, and every way in which a file is refused."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from models.errors import InvalidModelFile, InvalidSpec, ModelError
from models.golden import Golden
from models.preprocess import DecodeLimits, preprocess
from models.spec import METADATA_KEY
from models.store import ModelFile, ModelStore, Rung
from service import lifecycle, session
from service.lifecycle import Choice
from service.session import ProviderUnavailable
from service.settings import Settings
from tests.factories import REPOSITORY, shipped_digit

SHIPPED = ModelStore(REPOSITORY)


def changed(change: Callable[[onnx.ModelProto], None]) -> ModelFile:
    """The shipped model file with a change made to it."""
    file = SHIPPED.read("lenet", 1)
    model = onnx.load_from_string(file.data)
    change(model)
    data = model.SerializeToString()
    return ModelFile(file.name, file.version, "fp32", file.path, data, hashlib.sha256(data).hexdigest(), file.golden)


def with_spec(**changes: Any) -> Callable[[onnx.ModelProto], None]:
    """A change of the spec in the metadata."""

    def change(model: onnx.ModelProto) -> None:
        (entry,) = [entry for entry in model.metadata_props if entry.key == METADATA_KEY]
        entry.value = json.dumps(json.loads(entry.value) | changes)

    return change


def test_the_shipped_model_answers_right() -> None:
    """Digit in, label out, on the CPU with every node there."""
    loaded = session.load(SHIPPED.read("lenet", 1), "cpu", 1)
    data, class_id = shipped_digit(8)
    image = preprocess(data, loaded.spec.geometry, DecodeLimits())

    outputs = loaded.run(np.stack([image, image, image]))

    assert outputs.logits.shape == outputs.probabilities.shape == (3, 10)
    assert outputs.probabilities.argmax(axis=1).tolist() == [class_id] * 3
    assert np.allclose(outputs.probabilities.sum(axis=1), 1)
    assert loaded.placement.provider == "cpu"
    assert set(loaded.placement.nodes) == {"CPUExecutionProvider"}
    assert sum(loaded.placement.nodes.values()) > 5


def freeze_batch(model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        dimension = value.type.tensor_type.shape.dim[0]
        dimension.Clear()
        dimension.dim_value = 1


def rename_output(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        node.output[:] = ["scores" if name == "probabilities" else name for name in node.output]
    for value in model.graph.output:
        value.name = "scores" if value.name == "probabilities" else value.name


def keep_data_outside(model: onnx.ModelProto) -> None:
    tensor = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    size = len(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", "../../../../etc/passwd"), ("offset", "0"), ("length", str(size))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda model: model.ClearField("metadata_props"), InvalidSpec, "no spec in the model's metadata"),
        (with_spec(version=2), InvalidSpec, "its spec speaks of lenet version 2"),
        (with_spec(name="vgg"), InvalidSpec, "its spec speaks of vgg version 1"),
        (
            with_spec(labels=list("abc"), profile={"classes": [0.3] * 3, "confidence": [0.1] * 10}),
            InvalidModelFile,
            "logits are of 10 classes, but the spec has",
        ),
        (with_spec(geometry={"mode": "L", "height": 32, "width": 32}), InvalidModelFile, "images is"),
        (freeze_batch, InvalidModelFile, "frozen batch of 1"),
        (rename_output, InvalidModelFile, "gives ['logits', 'scores']"),
        (keep_data_outside, InvalidModelFile, "keeps data in another file"),
    ],
)
def test_files_that_contradict_themselves_are_refused(
    change: Callable[[onnx.ModelProto], None], error: type[ModelError], says: str
) -> None:
    """In one line that begins with the file's path."""
    with pytest.raises(error) as refused:
        session.load(changed(change), "cpu", 1)

    assert str(refused.value).startswith(str(REPOSITORY / "lenet" / "1" / "model.onnx"))
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("data", [b"", b"garbage", SHIPPED.read("lenet", 1).data[:5000]])
def test_what_is_no_onnx_file_is_refused(data: bytes) -> None:
    """Empty, garbage, cut short."""
    file = SHIPPED.read("lenet", 1)

    with pytest.raises(ModelError, match=r"model\.onnx: "):
        session.load(ModelFile("lenet", 1, "fp32", file.path, data, "", file.golden), "cpu", 1)


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_gpu_that_cannot_be_had_is_refused(provider: Any) -> None:
    """Asked for means asked for; the line says what is missing."""
    if session.has_gpu_build():
        pytest.skip("this ONNX Runtime was built for a GPU")

    with pytest.raises(ProviderUnavailable, match=rf"execution provider {provider} is not in onnxruntime .*serve-gpu"):
        session.load(SHIPPED.read("lenet", 1), provider, 1)


def test_auto_takes_what_there_is() -> None:
    """And says what it was."""
    assert session.load(SHIPPED.read("lenet", 1), "auto", 1).placement.provider in ("cuda", "cpu")


def put_shipped(root: Path, name: str = "lenet") -> ModelStore:
    """A store with the shipped model, renamed."""
    store = ModelStore(root)
    file = changed(with_spec(name=name))
    with store.put(name, {"fp32": Rung(admitted=True)}) as (folder, _):
        (folder / "model.onnx").write_bytes(file.data)
        (folder / "golden.npz").write_bytes(file.golden.to_bytes())
    return store


def test_a_model_that_fails_its_golden_images_is_refused(tmp_path: Path) -> None:
    """Intact, loadable, and wrong."""
    file = SHIPPED.read("lenet", 1)
    model = onnx.load_from_string(file.data)
    for tensor in model.graph.initializer:  # as if the weights of another training had been copied here
        if len(tensor.dims) == 2:
            weights = numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(weights[::-1].copy(), tensor.name))
    store = ModelStore(tmp_path)
    with store.put("lenet", {"fp32": Rung(admitted=True)}) as (folder, _):
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        (folder / "golden.npz").write_bytes(file.golden.to_bytes())

    with pytest.raises(InvalidModelFile, match="fails its golden images: golden image"):
        lifecycle.load(store, Choice("lenet", 1), Settings(provider="cpu"))


def test_warm_up_runs_every_size_of_batch() -> None:
    """Powers of two and the limit itself."""
    loaded = lifecycle.load(SHIPPED, Choice("lenet", 1), Settings(provider="cpu"))
    sizes: list[int] = []
    real = loaded.session.run

    class Spy:
        placement = loaded.session.placement
        spec = loaded.session.spec

        def run(self, images: np.ndarray) -> object:
            sizes.append(len(images))
            return real(images)

    lifecycle.warm_up(lifecycle.Loaded(Spy(), "fp32", "", light=True, proof=loaded.proof, load_s=0), 12)  # type: ignore[arg-type]

    assert sizes == [1, 2, 4, 8, 12]


def test_a_model_of_nan_is_refused(tmp_path: Path) -> None:
    """An ONNX file whose logits are the log of a negative number cannot prove itself."""
    file = SHIPPED.read("lenet", 1)

    def poison(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            node.output[:] = ["clean" if name == "logits" else name for name in node.output]
            node.input[:] = ["clean" if name == "logits" else name for name in node.input]
        model.graph.initializer.append(numpy_helper.from_array(np.array(-1, np.float32), "minus"))
        model.graph.node.extend(
            [
                helper.make_node("Abs", ["clean"], ["positive"]),
                helper.make_node("Mul", ["positive", "minus"], ["negative"]),
                helper.make_node("Log", ["negative"], ["logits"]),
            ]
        )

    store = ModelStore(tmp_path)
    with store.put("lenet", {"fp32": Rung(admitted=True)}) as (folder, _):
        (folder / "model.onnx").write_bytes(changed(poison).data)
        (folder / "golden.npz").write_bytes(
            Golden(file.golden.files, file.golden.class_ids, file.golden.logits).to_bytes()
        )

    with pytest.raises(InvalidModelFile, match="logits that are not finite"):
        lifecycle.load(store, Choice("lenet", 1), Settings(provider="cpu"))
