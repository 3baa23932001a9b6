"""training/fitting/folder.py: a run's folder, and which run is gone on with."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from training.config import FitConfig
from training.errors import InvalidRun
from training.fitting.folder import RunFolder, create, folder_name, to_resume

CONFIG = FitConfig(epochs=3)


def make_run(runs: Path, config: FitConfig = CONFIG, *, saved: bool = True, state: str | None = None) -> RunFolder:
    """A run's folder, with a last checkpoint and a result as asked for."""
    folder = create(runs, folder_name(config))
    folder.write_config(config, {})
    folder.last.parent.mkdir()
    if saved:
        folder.last.touch()
    if state is not None:
        folder.write_result({"state": state})
    return folder


def test_folders_are_numbered(tmp_path: Path) -> None:
    """After the highest there is, whatever else lies there."""
    (tmp_path / "lenet-digits-7").mkdir()
    (tmp_path / "lenet-digits-old").mkdir()

    assert create(tmp_path, "lenet-digits").path == tmp_path / "lenet-digits-8"
    assert create(tmp_path, "lenet").path == tmp_path / "lenet-1"


@pytest.mark.parametrize(
    ("dataset", "name"),
    [("digits", "lenet-digits"), ("folder:photos/pets", "lenet-pets"), ("folder:/data/pets/", "lenet-pets")],
)
def test_a_folder_is_named_after_net_and_data(dataset: str, name: str) -> None:
    """A path gives its last part."""
    assert folder_name(FitConfig(dataset=dataset)) == name


def test_the_config_comes_back(tmp_path: Path) -> None:
    """As it was written."""
    config = replace(CONFIG, learning_rate=0.3, schedule="cosine", dataset="digits")

    assert make_run(tmp_path, config).config() == config


def test_environments_are_listed(tmp_path: Path) -> None:
    """One for each time that the run was started."""
    folder = make_run(tmp_path)
    folder.add_environment({"processes": 1})
    folder.add_environment({"processes": 2})

    assert json.loads((folder.path / "environment.json").read_text()) == [{"processes": 1}, {"processes": 2}]


def test_auto_is_the_newest_unfinished_run_like_this_one(tmp_path: Path) -> None:
    """Not one that is finished, never saved, or of another configuration."""
    assert to_resume("auto", tmp_path / "none", CONFIG, ()) is None
    make_run(tmp_path)
    wanted = make_run(tmp_path, state="interrupted")
    make_run(tmp_path, state="finished")
    make_run(tmp_path, saved=False)
    make_run(tmp_path, replace(CONFIG, seed=1))

    assert to_resume("auto", tmp_path, CONFIG, ()) == wanted
    assert to_resume("auto", tmp_path, replace(CONFIG, seed=2), ()) is None


def test_a_path_is_the_folder_or_its_last_checkpoint(tmp_path: Path) -> None:
    """The same run."""
    folder = make_run(tmp_path)

    assert to_resume(str(folder.path), tmp_path, CONFIG, ()) == folder
    assert to_resume(str(folder.last), tmp_path, CONFIG, ()) == folder


def test_only_options_that_were_chosen_must_agree(tmp_path: Path) -> None:
    """The rest is the run's."""
    folder = make_run(tmp_path)
    other = replace(CONFIG, epochs=9, batch_size=64)

    assert to_resume(str(folder.path), tmp_path, other, ()) == folder
    with pytest.raises(InvalidRun, match="was started with --batch-size 32, not 64"):
        to_resume(str(folder.path), tmp_path, other, ("batch_size",))


def test_what_cannot_be_gone_on_with_is_named(tmp_path: Path) -> None:
    """Each in one line."""
    finished, unsaved = make_run(tmp_path, state="finished"), make_run(tmp_path, saved=False)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    damaged = make_run(tmp_path)
    (damaged.path / "config.json").write_text('{"config": {"epochs": "many"}}')
    newer = make_run(tmp_path)
    (newer.path / "config.json").write_text('{"config": {"epochs": 3, "quantum": true}}')
    (tmp_path / "best.ckpt").touch()
    faults = {
        tmp_path / "none": "no such run",
        tmp_path / "best.ckpt": "a run goes on from its folder or its last.ckpt",
        foreign: "not a run's folder: it has no config.json",
        finished.path: "is finished",
        unsaved.path: "ended before its first checkpoint",
        damaged.path: "not the configuration of a run",
        newer.path: "made by another version of this code: quantum",
    }

    for path, message in faults.items():
        with pytest.raises(InvalidRun) as caught:
            to_resume(str(path), tmp_path, CONFIG, ())
        assert message in str(caught.value)
        assert path.name in str(caught.value)
        assert "\n" not in str(caught.value)
