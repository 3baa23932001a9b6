"""service/doctor: each fault, made for real, is found and said."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from models.store import GOLDEN, ModelStore, Rung
from service.doctor import machine, models
from service.doctor.examination import examine
from service.doctor.finding import Finding
from service.settings import Settings
from tests.factories import make_spec
from tests.stores import golden_of, make_model, make_store, reserialised

Change = Callable[[onnx.ModelProto], None]


def put(root: Path, change: Change, **spec: Any) -> None:
    """A version whose model file was changed after its golden images were answered."""
    with ModelStore(root).put("lenet", {"fp32": Rung(admitted=True)}) as (folder, version):
        own = make_spec(version=version)
        content = make_model(own, 1)
        (folder / GOLDEN).write_bytes(golden_of(own, {"fp32": content}).to_bytes())

        def and_spec(model: onnx.ModelProto) -> None:
            helper.set_model_props(model, {"convserve.spec": make_spec(version=version, **spec).model_dump_json()})
            change(model)

        (folder / "model.onnx").write_bytes(reserialised(content, and_spec))


def nothing(_: onnx.ModelProto) -> None:
    """No change."""


def freeze(model: onnx.ModelProto) -> None:
    """One image at a time."""
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1


def twice(model: onnx.ModelProto) -> None:
    """Softmax of the softmax."""
    model.graph.node[-1].output[0] = "once"
    model.graph.node.append(helper.make_node("Softmax", ["once"], ["probabilities"], axis=1))


def inside(model: onnx.ModelProto) -> None:
    """The network ends in a softmax of its own, before that of the export."""
    model.graph.node[-2].output[0] = "scores"
    model.graph.node.insert(len(model.graph.node) - 1, helper.make_node("Softmax", ["scores"], ["logits"], axis=1))


def said(findings: Any) -> str:
    """All findings as one text."""
    return "\n".join(" | ".join(finding) for finding in findings)


@pytest.mark.parametrize(
    ("change", "spec", "words"),
    [
        (freeze, {}, ["frozen batch of 1", "dynamic first axis"]),
        (twice, {}, ["the softmax of a softmax", "take the softmax out"]),
        (inside, {}, ["probabilities already", "take the softmax out"]),
        (
            nothing,
            {"labels": tuple("abcdefghi"), "profile": {"classes": (0.1,) * 9, "confidence": (0.1,) * 10}},
            ["of 10 classes, but the spec has 9 labels", "export it with its own"],
        ),
        (lambda model: model.ClearField("metadata_props"), {}, ["no spec in the model's metadata"]),
    ],
)
def test_what_is_wrong_with_a_model_is_said(tmp_path: Path, change: Change, spec: Any, words: list[str]) -> None:
    """With what to do about it."""
    put(tmp_path, change, **spec)

    text = said(models.models(Settings(model_store=tmp_path)))

    for word in words:
        assert word in text


def test_damage_and_leftovers_are_said(tmp_path: Path) -> None:
    """A flipped bit, a manifest that is no manifest, a folder that was copied in part, a store that is not there."""
    make_store(tmp_path, versions=2)
    content = bytearray((tmp_path / "lenet" / "1" / "model.onnx").read_bytes())
    content[100] ^= 1
    (tmp_path / "lenet" / "1" / "model.onnx").write_bytes(content)
    (tmp_path / "lenet" / "2" / "manifest.json").write_text("{")
    (tmp_path / "lenet" / "3").mkdir()

    text = said(models.models(Settings(model_store=tmp_path)))

    assert "lenet/1 fp32" in text
    assert "SHA-256 differs" in text
    assert "lenet/2" in text
    assert "lenet/3 has no manifest.json: it is not served" in text
    assert "no such folder" in said(models.models(Settings(model_store=tmp_path / "nowhere")))


def test_wrong_answers_are_said(tmp_path: Path) -> None:
    """A model that is whole and gives other answers than its golden images say."""
    put(
        tmp_path,
        lambda model: model.graph.initializer[1].CopyFrom(
            onnx.numpy_helper.from_array(np.roll(np.eye(1, 10, dtype=np.float32)[0], 5), "bias")
        ),
    )

    assert "fails its golden images: golden image 0 gives class 5 instead of 1" in said(
        models.models(Settings(model_store=tmp_path))
    )


def test_two_builds_of_onnxruntime_are_said(tmp_path: Path) -> None:
    """As pip leaves them; one alone is fine."""
    for name in ("onnxruntime", "onnxruntime_gpu"):
        folder = tmp_path / f"{name}-1.30.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.30.0\n")
        assert len(list(machine.packages([str(tmp_path)]))) == (name == "onnxruntime_gpu")


def test_a_gpu_that_was_asked_for_and_is_not_there_is_explained() -> None:
    """Build, driver and device, each for itself."""
    if any(Path("/dev").glob("nvidia[0-9]*")):
        pytest.skip("there is a GPU here")

    text = said(machine.gpu(Settings(provider="cuda")))

    assert "built without cuda" in text
    assert "no NVIDIA driver" in text
    assert "no NVIDIA device is visible" in text
    assert list(machine.gpu(Settings())) == []


def test_folders_that_cannot_be_written_are_said(tmp_path: Path) -> None:
    """Also ones that would have to be made where that is impossible."""
    (tmp_path / "file").touch()

    text = said(machine.folders(Settings(state_dir=tmp_path / "file" / "state", metrics_dir=tmp_path / "new")))

    assert "CONVSERVE_STATE_DIR" in text
    assert "is no folder" in text
    assert "METRICS_DIR" not in text
    if os.geteuid() != 0:  # who may write everywhere
        (tmp_path / "closed").mkdir(mode=0o500)
        assert "Permission denied" in said(machine.folders(Settings(metrics_dir=tmp_path / "closed")))


def test_a_deployment_that_does_not_fit_is_said(tmp_path: Path) -> None:
    """An active version that the store does not have."""
    make_store(tmp_path)
    (tmp_path / "deployment.json").write_text('{"models": {"lenet": {"active": 7}}}')

    assert "lenet version 7 is active, but it is not in" in said(machine.folders(Settings(model_store=tmp_path)))


def test_keys_that_cannot_be_read_are_said(tmp_path: Path) -> None:
    """With the line of the file."""
    (tmp_path / "keys").write_text("nonsense")

    assert "keys:1: must be NAME ROLE SHA256" in said(machine.access(Settings(keys_file=tmp_path / "keys")))


def test_all_settings_that_are_wrong_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only the first; and the rest is still examined. The names of the command line are known."""
    monkeypatch.setenv("CONVSERVE_WORKER", "2")
    monkeypatch.setenv("CONVSERVE_WORKERS", "none")
    monkeypatch.setenv("CONVSERVE_MAX_IMAGES", "0")
    monkeypatch.setenv("CONVSERVE_URL", "http://127.0.0.1:3000")

    findings = examine()

    text = said(findings)
    assert "CONVSERVE_WORKER: there is no such setting" in text
    assert "CONVSERVE_WORKERS=none" in text
    assert "CONVSERVE_MAX_IMAGES=0" in text
    assert len(findings) == 3


def test_a_sound_installation_has_no_findings() -> None:
    """The model that ships, the default settings."""
    assert examine() == list[Finding]()
