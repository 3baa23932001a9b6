"""training/calibrate.py, and what becomes of the temperature."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from typer.testing import CliRunner

from tests.training.test_export import spec_of
from training import checkpoint, confidence, data, evaluate
from training.__main__ import app
from training.calibrate import calibrate
from training.errors import InvalidCheckpoint
from training.fit import Run
from training.publish import Exported


def test_the_checkpoint_keeps_its_temperature(run: Run, tmp_path: Path) -> None:
    """Its network answers with it from then on; logits and weights are the same, and nothing else lies there."""
    path = Path(shutil.copy(run.best, tmp_path))
    before, after = checkpoint.load(run.best), calibrate(path)

    blueprint, network = checkpoint.load(path)

    assert blueprint.calibration == after
    assert before[0].calibration is None
    assert network.temperature == after.temperature != 1
    images = torch.zeros(3, 28, 28, 1, dtype=torch.uint8)
    (logits, old), (same, new) = before[1](images), network(images)
    torch.testing.assert_close(logits, same)
    assert not torch.allclose(old, new)
    assert [entry.name for entry in tmp_path.iterdir()] == ["best.ckpt"]


def test_a_second_calibration_finds_the_same(run: Run, tmp_path: Path) -> None:
    """It starts from the logits, not from what was found before."""
    path = Path(shutil.copy(run.best, tmp_path))

    assert calibrate(path) == calibrate(path)


def test_the_graph_has_the_temperature_in_its_softmax(exported: Exported) -> None:
    """Probabilities are softmax(logits / T), and the error before and after stands in the spec."""
    spec = spec_of(exported.path)
    test = data.load("digits").test

    answers = evaluate.answer(evaluate.of_model_file(exported.path.read_bytes()), test.files, spec.geometry)

    assert spec.calibration is not None
    assert spec.calibration.ece_after < spec.calibration.ece_before
    np.testing.assert_allclose(
        answers.probabilities, confidence.softmax(answers.logits, spec.calibration.temperature), atol=1e-5
    )
    assert spec.quality is not None
    assert spec.quality.ece_uncalibrated is not None
    assert spec.quality.ece == pytest.approx(confidence.ece(answers.probabilities, test.class_ids))
    assert spec.quality.ece is not None
    assert spec.quality.ece < spec.quality.ece_uncalibrated
    assert any(node.op_type == "Div" for node in onnx.load(exported.path).graph.node)


def test_a_network_that_answers_with_infinities_is_refused(run: Run, tmp_path: Path) -> None:
    """And its file is left as it was."""
    content = torch.load(run.best, weights_only=True)
    name = next(key for key in content["state_dict"] if key.endswith("bias"))
    content["state_dict"][name] += float("nan")
    path = tmp_path / "broken.ckpt"
    torch.save(content, path)
    before = path.read_bytes()

    with pytest.raises(InvalidCheckpoint, match="logits on 180 validation images are not finite"):
        calibrate(path)

    assert path.read_bytes() == before


def test_the_command_calibrates_a_checkpoint(run: Run, tmp_path: Path) -> None:
    """It prints what it found, and shows an example."""
    path = Path(shutil.copy(run.best, tmp_path))

    result, manual = (CliRunner().invoke(app, words) for words in (["calibrate", str(path)], ["calibrate", "--help"]))

    assert result.exit_code == 0, result.output
    found = checkpoint.load(path)[0].calibration
    assert found is not None
    assert result.stdout == (
        f"temperature {found.temperature:.4f}\n"
        f"ECE {found.ece_before:.4f} → {found.ece_after:.4f} on 180 validation images\n"
    )
    assert "Example: python -m training calibrate" in manual.output


def test_what_is_no_checkpoint_is_one_line(tmp_path: Path) -> None:
    """And exit code 2."""
    (tmp_path / "notes.txt").write_text("no checkpoint")

    result = CliRunner().invoke(app, ["calibrate", str(tmp_path / "notes.txt")])

    assert (result.exit_code, result.stderr) == (2, f"error: {tmp_path / 'notes.txt'}: not a readable checkpoint\n")
