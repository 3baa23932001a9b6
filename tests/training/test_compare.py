"""training/compare.py and its command: several runs side by side."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.training.test_main import invoke
from training import data
from training.compare import Row, compare, markdown
from training.errors import InvalidCheckpoint, InvalidData, InvalidRun
from training.fit import Run
from training.fitting.folder import RunFolder, create
from training.measuring.charts import engineering
from training.measuring.latency import Latency

ROW = Row(
    run="lenet-digits-1",
    net="lenet",
    dataset="digits",
    images=360,
    top1=0.975,
    ece=0.0123,
    parameters=44_426,
    multiply_adds=281_640,
    epochs=60,
    training_s=31.26,
    latencies=(Latency(1, 0.05, 0.04, 20), Latency(32, 0.9, 0.8, 20)),
)


def test_runs_are_measured_and_written(run: Run, trained: Run, tmp_path: Path) -> None:
    """The better one first; a table, its figures as JSON, a chart."""
    result = invoke("compare", run.folder, trained.best, "--out", tmp_path / "out")

    assert result.exit_code == 0, result.output
    rows = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert [row["run"] for row in rows] == [trained.folder.name, run.folder.name]
    assert rows[0]["top1"] > rows[1]["top1"]
    for row in rows:
        assert (row["parameters"], row["images"], row["dataset"]) == (44_426, 360, "digits")
        assert row["multiply_adds"] == 281_640
        assert [latency["batch"] for latency in row["latencies"]] == [1, 32]
        assert row["latencies"][1]["median_ms"] > row["latencies"][0]["fastest_ms"] > 0
        assert row["training_s"] > 0
    assert (tmp_path / "out" / "compare.md").read_text().count("| lenet |") == 2
    with Image.open(tmp_path / "out" / "compare.png") as chart:
        chart.load()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["compare.json", "compare.md", "compare.png"]
    assert f"{rows[0]['top1']:.2%}" in result.stdout


def test_the_data_set_is_read_once(run: Run, trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what is left out of it is said once."""
    load, read = data.load, []

    def loading(source: str) -> data.Dataset:
        read.append(source)
        return load(source)

    monkeypatch.setattr(data, "load", loading)

    assert len(compare([run.folder, trained.folder], tmp_path)) == 2
    assert read == ["digits"]


def test_the_table_is_markdown() -> None:
    """As many cells in each line as in its head."""
    lines = markdown([ROW, replace(ROW, run="other", top1=0.9)]).splitlines()

    assert "| lenet-digits-1 | lenet | 97.50% | 0.0123 | 44,426 | 281,640 | 60 | 31.3 s | 0.05 ms | 0.90 ms |" in lines
    assert len({line.count("|") for line in lines[:4]}) == 1


def test_large_numbers_are_short() -> None:
    """Three digits and a unit."""
    assert [engineering(value) for value in (7, 44_426, 138_357_544, 15_470_264_320)] == ["7", "44.4k", "138M", "15.5G"]


def test_what_cannot_be_compared_is_named(run: Run, tmp_path: Path) -> None:
    """A missing run, a folder that is none, a run without a checkpoint, another data set; nothing is written."""
    empty = create(tmp_path, "empty")
    unsaved = create(tmp_path, "unsaved")
    unsaved.write_config(RunFolder(run.folder).config(), {})
    other = create(tmp_path, "other")
    other.write_config(replace(RunFolder(run.folder).config(), dataset="folder:photos"), {})
    out = tmp_path / "out"

    for folder, error, message in (
        (tmp_path / "none", InvalidRun, "none: no such run"),
        (empty.path, InvalidRun, "not a run's folder"),
        (unsaved.path, InvalidCheckpoint, "no such file"),
        (other.path, InvalidData, "different data sets cannot be compared: digits, folder:"),
    ):
        with pytest.raises(error, match=message):
            compare([run.folder, folder], out)
        assert not out.exists()
