"""training/export.py."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from torch import Tensor, nn

from models.errors import ModelNotFound
from models.postprocess import top_k
from models.preprocess import DecodeLimits, preprocess
from models.spec import METADATA_KEY, ModelSpec
from models.store import PRECISION_FILES, ModelStore, Rung
from training import checkpoint, data, evaluate, nets
from training.errors import ExportRefused
from training.export import export, require_parity
from training.fit import Run
from training.precision.ladder import Candidate
from training.publish import Exported, choose_golden


class Deceitful(nn.Module):
    """A LeNet that is another net while it is exported: its logits are 1% larger, or it gives none that are finite."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.net = nets.build("lenet", 10, 1)
        self.fault = fault

    def forward(self, images: Tensor) -> Tensor:
        """Answer truly in PyTorch, wrongly in ONNX."""
        logits: Tensor = self.net(images)
        if self.fault == "not finite":
            return logits / 0
        return logits * 1.01 if torch.compiler.is_exporting() else logits


def deceitful_checkpoint(run: Run, path: Path, fault: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run's best checkpoint with a net that does not export as what it is."""
    deceitful = replace(nets.NETS["lenet"], build=lambda *_: nn.Sequential(Deceitful(fault)))
    monkeypatch.setattr(nets, "NETS", {**nets.NETS, "deceitful": deceitful})
    content = torch.load(run.best, weights_only=True)
    weights = {key.replace("network.net.", "network.net.0.net."): value for key, value in content["state_dict"].items()}
    calibration = {"temperature": 1, "images": 180, "ece_before": 0, "ece_after": 0}
    hparams = {**content["hyper_parameters"], "net": "deceitful", "calibration": calibration}
    torch.save({"hyper_parameters": hparams, "state_dict": weights}, path)
    return path


def spec_of(path: Path) -> ModelSpec:
    """The spec inside a model file."""
    properties = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    return ModelSpec.from_json(properties[METADATA_KEY], str(path))


def test_a_model_file_says_what_it_takes_and_gives(exported: Exported) -> None:
    """uint8 images of any number; logits and probabilities of each."""
    graph = onnx.load(exported.path).graph

    def signature(values: list[onnx.ValueInfoProto]) -> list[tuple[str, int, list[str | int]]]:
        return [
            (
                value.name,
                value.type.tensor_type.elem_type,
                [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim],
            )
            for value in values
        ]

    assert signature(list(graph.input)) == [("images", TensorProto.UINT8, ["batch", 28, 28, 1])]
    assert signature(list(graph.output)) == [
        ("logits", TensorProto.FLOAT, ["batch", 10]),
        ("probabilities", TensorProto.FLOAT, ["batch", 10]),
    ]


def test_a_model_file_is_one_file_that_names_no_path(exported: Exported) -> None:
    """No external data, and none of the exporter's stack traces."""
    content = exported.path.read_bytes()

    names = {path.name for path in exported.path.parent.iterdir()}
    assert (
        {"golden.npz", "manifest.json", "model.onnx"}
        <= names
        <= {*PRECISION_FILES.values(), "golden.npz", "manifest.json"}
    )
    assert exported.size_bytes == len(content) < 300_000
    assert b".py" not in content


def test_the_spec_agrees_with_folder_manifest_and_checkpoint(run: Run, store: ModelStore, exported: Exported) -> None:
    """It is complete: name, version, labels, geometry, normalisation, provenance, quality, profile."""
    blueprint, _ = checkpoint.load(run.best)
    spec = spec_of(exported.path)

    assert (spec.name, spec.version) == ("lenet", 1) == (exported.path.parts[-3], int(exported.path.parts[-2]))
    assert (spec.labels, spec.geometry, spec.normalisation, spec.provenance) == (
        blueprint.labels,
        blueprint.geometry,
        blueprint.normalisation,
        blueprint.provenance,
    )
    assert spec.quality == exported.quality == store.manifest("lenet", 1).ladder["fp32"].quality
    assert spec.profile is not None
    assert sum(spec.profile.classes) == pytest.approx(1)
    assert sum(spec.profile.confidence) == pytest.approx(1)


def test_golden_images_are_of_all_classes_and_hold(store: ModelStore, exported: Exported) -> None:
    """The file answers its own golden images, in batches of any size."""
    golden = store.read("lenet", 1).golden
    geometry = spec_of(exported.path).geometry
    predict = evaluate.of_model_file(exported.path.read_bytes())
    digits = data.load("digits").test
    truth = dict(zip(digits.files, digits.class_ids.tolist(), strict=True))

    assert len(golden.files) == 16
    assert {truth[file] for file in golden.files} == set(range(10))
    for batch_size in (1, 2, 7, 16):
        logits = evaluate.answer(predict, golden.files, geometry, batch_size).logits
        assert golden.mismatch("fp32", logits) is None


def test_a_png_file_becomes_a_label(exported: Exported) -> None:
    """By the contract alone, as the service does it: decode, run, top_k."""
    spec = spec_of(exported.path)
    file = data.load("digits").test.files[0]
    image = preprocess(file, spec.geometry, DecodeLimits())

    answers = evaluate.of_model_file(exported.path.read_bytes())(image[np.newaxis])
    best, *_ = top_k(answers.probabilities[0], spec.labels, 3)

    assert best["label"] == spec.labels[int(answers.logits[0].argmax())]
    assert answers.probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_each_export_is_a_version_of_its_own(run: Run, tmp_path: Path) -> None:
    """The second has the same answers and the next number, in its folder and in its spec."""
    store = ModelStore(tmp_path)

    first, second = export(run.best, store, "digits"), export(run.best, store, "digits")

    assert store.versions("digits") == [1, 2]
    assert [spec_of(first.path).version, spec_of(second.path).version] == [1, 2]
    assert first.quality == second.quality


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("scaled", "differ on 360 test images: logits by"),
        ("not finite", "own logits on 360 test images are not finite"),
    ],
)
def test_a_graph_that_answers_differently_is_not_written(
    fault: str, message: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The export is refused with the figure, and the store is as it was."""
    path = deceitful_checkpoint(run, tmp_path / "deceitful.ckpt", fault, monkeypatch)
    root = tmp_path / "store"

    with pytest.raises(ExportRefused, match=message):
        export(path, ModelStore(root))

    assert not root.exists()


def test_parity_is_asked_of_odd_batches_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph that is right in large batches and wrong in a batch of 7."""
    blueprint, network = checkpoint.load(run.best)
    truth = evaluate.of_network(network)

    def wrong_for_7(images: data.Pixels) -> evaluate.Answers:
        answers = truth(images)
        return evaluate.Answers(answers.logits + (len(images) == 7), answers.probabilities)

    monkeypatch.setattr(evaluate, "of_model_file", lambda _content: wrong_for_7)

    with pytest.raises(ExportRefused, match="differ on a batch of 7"):
        require_parity(network, b"", data.load("digits").test.files, blueprint.geometry)


def test_a_class_that_changes_within_the_tolerance_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Close logits are not enough: every image keeps its first class."""
    blueprint, network = checkpoint.load(run.best)
    tie = np.tile(np.array([5, 5.0001], np.float32), (360, 1))
    monkeypatch.setattr(
        evaluate, "of_network", lambda _network: lambda images: evaluate.Answers(tie[: len(images)], tie)
    )
    monkeypatch.setattr(
        evaluate, "of_model_file", lambda _content: lambda images: evaluate.Answers(tie[: len(images), ::-1], tie)
    )

    with pytest.raises(ExportRefused, match="360 have another class first"):
        require_parity(network, b"", data.load("digits").test.files, blueprint.geometry)


def test_a_bad_name_writes_nothing(run: Run, tmp_path: Path) -> None:
    """Names are the store's to judge."""
    root = tmp_path / "store"

    with pytest.raises(ModelNotFound, match="no model name"):
        export(run.best, ModelStore(root), "Le Net")

    assert not root.exists()


def test_a_small_test_split_gives_as_many_golden_images() -> None:
    """The classes take turns until there are none left."""
    test = data.Split([b"a", b"b", b"c", b"d"], np.array([1, 1, 1, 0]))
    logits = np.eye(4, 2, dtype=np.float32)
    candidate = Candidate(Rung(admitted=True), answers=evaluate.Answers(logits, logits))

    golden = choose_golden(test, {"fp32": candidate})

    assert golden.files == (b"d", b"a", b"b", b"c")
    np.testing.assert_array_equal(golden.logits["fp32"], logits[[3, 0, 1, 2]])
