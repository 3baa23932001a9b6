"""training/__main__.py: what the commands print, leave behind and return."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from models.store import ModelStore
from tests.factories import REPOSITORY
from training import data
from training import export as export_module
from training.__main__ import app
from training.errors import ExportRefused
from training.fit import Run
from training.nets import NETS


def invoke(*arguments: str | Path) -> Result:
    """Run `python -m training` with *arguments*."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


@pytest.mark.parametrize(
    "command", ["fit", "evaluate", "calibrate", "export", "import", "summary", "compare", "verify"]
)
def test_help_shows_an_example(command: str) -> None:
    """Each command has one."""
    result = invoke(command, "--help")

    assert result.exit_code == 0
    assert f"Example: python -m training {command}" in result.output


@pytest.mark.parametrize(
    ("epochs", "top1"),
    [pytest.param([], 0.97, id="as shipped", marks=[pytest.mark.slow, pytest.mark.timeout(900)]), (["--epochs=2"], 0)],
)
def test_fit_prints_the_figure_that_it_stored(
    epochs: list[str], top1: float, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """With the defaults it is 97% at least, and that of the model that ships, within a point."""
    result = invoke("fit", *epochs, "--runs", tmp_path / "runs", "--store", tmp_path / "store")

    assert result.exit_code == 0, result.output
    quality = ModelStore(tmp_path / "store").manifest("lenet", 1).ladder["fp32"].quality
    assert quality is not None
    assert quality.top1 >= top1
    if not epochs:
        shipped = ModelStore(REPOSITORY).manifest("lenet", 1).ladder["fp32"].quality
        assert shipped is not None
        assert quality.top1 == pytest.approx(shipped.top1, abs=0.01)
        record_property("test top-1", quality.top1)
    assert f"{quality.top1:.2%} of 360 images" in result.stdout
    assert str(tmp_path / "store" / "lenet" / "1" / "model.onnx") in result.stdout


def test_summary_shows_layers_and_totals() -> None:
    """In 80 columns, with the formulas."""
    result = CliRunner().invoke(app, ["summary", "vgg16", "--num-classes", "1000", "--in-channels", "3"])

    assert result.exit_code == 0, result.output
    assert "conv5_3" in result.output
    assert re.search(r"pool5 .* 512×7×7 .* 212", result.output)
    assert re.search(r"total .* 138,357,544 .* 15,470,264,320", result.output)
    assert "F(i) = (F(i+1) − 1)·stride + k" in result.output


def test_export_puts_a_checkpoint_into_the_store(run: Run, tmp_path: Path) -> None:
    """Under the name asked for; the size of the file is printed."""
    result = invoke("export", run.best, "--store", tmp_path, "--name", "digits")

    assert result.exit_code == 0, result.output
    assert ModelStore(tmp_path).versions("digits") == [1]
    assert "digits version 1" in result.stdout
    assert re.search(r"size .* 1\d\d\.\d kB", result.stdout)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "--net", "lenett"], "error: no network 'lenett'; there are: " + ", ".join(sorted(NETS)) + "\n"),
        (["fit", "--resume", "runs/none"], "error: runs/none: no such run\n"),
        (["fit", "--resume", "."], "error: .: not a run's folder: it has no config.json\n"),
        (["fit", "--devices", "none"], "error: devices 'none': a number from 1, or auto\n"),
        (["compare", "runs/none"], "error: runs/none: no such run\n"),
        (["fit", "--dataset", "digit"], "error: no data set 'digit'; there are: " + ", ".join(data.known()) + "\n"),
        (["summary", "lenet", "--in-channels", "2"], "error: images have 1 channel (grey) or 3 (RGB), not 2\n"),
        (["summary", "vgg16", "--size", "30"], "error: vgg16 needs images of at least 32 pixels a side, not 30×30\n"),
        (["export", "none.ckpt"], "error: none.ckpt: no such file\n"),
        (["export", "notes.txt"], "error: notes.txt: not a readable checkpoint\n"),
    ],
)
def test_faults_of_the_user_are_one_line(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And exit code 2; nothing is written."""
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("no checkpoint")

    result = invoke(*arguments)

    assert (result.exit_code, result.stderr) == (2, message)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("name", ["Le Net", "lenet-image", "-"])
def test_a_bad_name_is_refused_before_training(name: str, tmp_path: Path) -> None:
    """Not after it."""
    result = invoke("fit", f"--name={name}", "--runs", tmp_path / "runs", "--store", tmp_path / "store")

    assert result.exit_code == 2
    assert "--name" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_store_that_cannot_be_written_is_named(run: Run, tmp_path: Path) -> None:
    """A file stands where the store should be."""
    (tmp_path / "store").write_text("a file")

    result = invoke("export", run.best, "--store", tmp_path / "store")

    assert result.exit_code == 2
    assert re.fullmatch(r"error: .*store.*\n", result.stderr)


def test_ctrl_c_behind_the_last_epoch_says_what_is_left_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint is there, and so is the command that exports it; it works."""
    store, words = tmp_path / "a store", ("--epochs", "1", "--batch-size", "256", "--name", "digits")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(export_module, "require_parity", interrupt)
        result = invoke("fit", *words, "--runs", tmp_path / "runs", "--store", store)

    best = tmp_path / "runs" / "lenet-digits-1" / "checkpoints" / "best.ckpt"
    command = f"python -m training export {best} '--store={store}' --name=digits"
    assert (result.exit_code, result.stderr) == (
        130,
        f"\nSIGINT: the run is finished and saved, but not exported. Do that with:\n\n  {command}\n\n",
    )
    assert not store.exists()

    assert invoke(*shlex.split(command)[3:]).exit_code == 0
    assert ModelStore(store).versions("digits") == [1]


def test_an_export_that_is_refused_has_an_exit_code_of_its_own(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1: it is not the user's fault."""

    def refuse(*_: object) -> None:
        raise ExportRefused("ONNX Runtime and PyTorch differ")

    monkeypatch.setattr(export_module, "require_parity", refuse)

    result = invoke("export", run.best, "--store", tmp_path / "store")

    assert (result.exit_code, result.stderr) == (1, "error: ONNX Runtime and PyTorch differ\n")
    assert not (tmp_path / "store").exists()
