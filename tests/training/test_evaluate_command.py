"""training/commands/evaluate.py: figures and pictures of a run, one line for what goes wrong."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from models.store import ModelStore
from tests.training.test_main import invoke
from training.commands.evaluate import _folder
from training.fit import Run
from training.measuring import subject
from training.publish import Exported


def test_a_run_is_evaluated_into_its_folder(run: Run, exported: Exported) -> None:
    """All figures as JSON, and five files beside each other."""
    result = invoke("evaluate", run.folder)

    assert result.exit_code == 0, result.output
    folder = run.folder / "evaluation"
    assert sorted(path.name for path in folder.iterdir()) == [
        "confusion.png",
        "curves.png",
        "evaluation.json",
        "mistakes.png",
        "reliability.png",
    ]
    content = json.loads((folder / "evaluation.json").read_text())
    assert exported.quality is not None
    assert (content["top1"], content["top5"]) == (exported.quality.top1, exported.quality.top5)
    assert (content["images"], content["dataset"], content["crops"]) == (360, "digits", 1)
    assert sum(map(sum, content["confusion"])) == 360
    assert f"{content['top1']:.2%}" in result.stdout
    assert str(folder / "mistakes.png") in result.stdout


def test_a_name_is_looked_up_in_the_store(store: ModelStore, exported: Exported, tmp_path: Path) -> None:
    """With a folder of the user's choice; of a model file there are no curves."""
    result = invoke("evaluate", exported.name, "--store", store.root, "--out", tmp_path / "out")

    assert result.exit_code == 0, result.output
    assert not (tmp_path / "out" / "curves.png").exists()
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["subject"]["kind"] == "model file"


def test_pictures_of_a_service_lie_in_a_folder_that_any_system_can_name(exported: Exported) -> None:
    """The address, with its colons, is no part of it."""
    found = subject.of_model_file(exported.path.read_bytes(), "file")
    asked = replace(found, kind="service", name="lenet version 1 fp32 at http://127.0.0.1:3000")

    assert _folder(asked) == Path("build/evaluation/lenet-version-1-fp32-http")
    assert _folder(replace(found, name="a:b")) == Path("build/evaluation/a-b")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.ckpt"], "error: none.ckpt: no such file\n"),
        (["nobody"], "error: model 'nobody' has no version 1 in "),
        (["lenet", "--crops", "3"], "error: --crops 3: 1 or 10\n"),
        (["lenet", "--dataset", "digit"], "error: no data set 'digit'; there are: "),
        (["--url", "http://127.0.0.1:1"], "error: http://127.0.0.1:1: "),
        (["--url", "nowhere"], "error: "),
    ],
)
def test_faults_of_the_user_are_one_line(
    arguments: list[str], message: str, store: ModelStore, exported: Exported, tmp_path: Path
) -> None:
    """Exit code 2, and nothing is written."""
    result = invoke("evaluate", *arguments, "--store", store.root, "--out", tmp_path / "out")

    assert result.exit_code == 2
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
    assert exported.version == 1


def test_a_data_set_with_other_classes_is_refused(run: Run, tmp_path: Path) -> None:
    """The figures would be of something else."""
    from tests.factories import encode, make_image

    for label in ("cat", "dog"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for index in range(20):
            (tmp_path / "photos" / label / f"{index}.png").write_bytes(encode(make_image(seed=index)))

    result = invoke("evaluate", run.best, "--dataset", f"folder:{tmp_path / 'photos'}")

    assert result.exit_code == 2
    assert "knows 10 classes, photos has 2" in result.stderr
