"""`verify` and `evaluate --url` against the real server."""

import json
from pathlib import Path

import pytest

from models.store import ModelStore
from tests.e2e.server import serving
from tests.training.test_main import invoke
from training.calibrate import calibrate
from training.config import FitConfig
from training.export import export
from training.fit import fit

pytestmark = pytest.mark.e2e


def test_checkpoint_file_and_service_give_the_same_answers(tmp_path: Path) -> None:
    """On all 360 test images, to the last bit of the logits between file and service; the figures are one figure."""
    run = fit(FitConfig(epochs=3, activation="relu", learning_rate=0.005), tmp_path / "runs")
    calibrate(run.best)
    store = ModelStore(tmp_path / "store")
    exported = export(run.best, store, precisions=())
    assert exported.quality is not None

    with serving(tmp_path, model_store=store.root) as server:
        verified = invoke("verify", "lenet", "--store", store.root, "--runs", tmp_path / "runs", "--url", server.url)
        evaluated = invoke("evaluate", "--url", server.url, "--out", tmp_path / "out")
        other = invoke("verify", "lenet", "--url", server.url)  # the store that ships has another version 1

    assert verified.exit_code == 0, verified.output
    figure = f"/360 = {exported.quality.top1:.2%}"
    assert verified.stdout.count(figure) == 3
    lines = [line.split("│") for line in verified.stdout.splitlines() if "service http" in line]
    assert [cell.strip() for cell in lines[0][3:6]] == ["100.00%", "0", "0"]
    assert evaluated.exit_code == 0, evaluated.output
    content = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (content["top1"], content["subject"]["kind"]) == (exported.quality.top1, "service")
    assert content["ece"] == pytest.approx(exported.quality.ece, abs=1e-4)
    assert other.exit_code in (1, 2)
