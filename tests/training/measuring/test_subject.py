"""training/measuring/subject.py: what a word on the command line means, and what it answers."""

from pathlib import Path

import numpy as np
import pytest

from models.errors import InvalidModelFile, InvalidSpec, ModelNotFound
from models.preprocess import decode, open_image, ten_crop
from models.store import ModelStore
from training import checkpoint, data, evaluate, export
from training.errors import InvalidCheckpoint, InvalidOption
from training.fit import Run
from training.measuring import subject
from training.publish import Exported


def test_a_run_a_checkpoint_a_file_and_a_name_are_the_same_network(
    run: Run, store: ModelStore, exported: Exported
) -> None:
    """They give the same answers, a file with its calibrated confidence; the first two know their run."""
    files = data.load("digits").test.files[:20]
    subjects = [
        subject.find(what, store) for what in (str(run.folder), str(run.best), str(exported.path), "lenet", "lenet:1")
    ]

    first, *others = (each.probabilities(files) for each in subjects)

    assert {each.labels for each in subjects} == {tuple("0123456789")}
    assert [each.run is not None for each in subjects] == [True, True, False, False, False]
    assert [each.kind for each in subjects] == ["checkpoint"] * 2 + ["model file"] * 3
    for other in others:
        np.testing.assert_array_equal(other.argmax(axis=1), first.argmax(axis=1))
    np.testing.assert_array_equal(others[0], first)
    np.testing.assert_array_equal(others[1], others[2])


def test_ten_crops_are_the_mean_of_ten_answers(run: Run) -> None:
    """Of probabilities, image by image."""
    files = data.load("digits").test.files[:3]
    blueprint, network = checkpoint.load(run.best)

    got = subject.of_checkpoint(run.best, crops=10).probabilities(files)

    for file, row in zip(files, got, strict=True):
        image = decode(open_image(file, blueprint.geometry, data.LIMITS), blueprint.geometry)
        ten = evaluate.of_network(network)(ten_crop(image, blueprint.geometry)).probabilities
        assert ten.shape == (10, 10)
        np.testing.assert_allclose(row, ten.mean(axis=0), atol=1e-6)


def test_other_numbers_of_crops_are_refused(run: Run) -> None:
    """One or ten."""
    with pytest.raises(InvalidOption, match="--crops 5: 1 or 10"):
        subject.of_checkpoint(run.best, crops=5)


def test_what_is_nothing_is_named(store: ModelStore, exported: Exported, tmp_path: Path) -> None:
    """Files by their path, models by their name."""
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    (tmp_path / "empty").mkdir()
    for what, error, message in (
        ("none.ckpt", InvalidCheckpoint, "none.ckpt: no such file"),
        ("runs/none", InvalidCheckpoint, "runs/none: no such file"),
        ("none.onnx", InvalidCheckpoint, "none.onnx: no such file"),
        ("alexnet", ModelNotFound, "alexnet"),
        ("lenet:7", ModelNotFound, "no version 7"),
        (str(tmp_path / "empty"), InvalidCheckpoint, "empty: "),
        (str(tmp_path / "broken.onnx"), InvalidModelFile, "ONNX Runtime cannot load it"),
    ):
        with pytest.raises(error, match=message):
            subject.find(what, store)
    assert exported.name == "lenet"


def test_a_model_file_without_a_spec_is_refused(run: Run) -> None:
    """It would be guessed at."""
    blueprint, network = checkpoint.load(run.best)
    content = export.to_onnx(network, blueprint.geometry).SerializeToString()

    with pytest.raises(InvalidSpec, match=r"bare\.onnx: carries no spec"):
        subject.of_model_file(content, "bare.onnx")
