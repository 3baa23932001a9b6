"""training/checkpoint.py."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from training import checkpoint
from training.errors import InvalidCheckpoint, UnknownName
from training.fit import Run


def altered(run: Run, path: Path, **changes: Any) -> Path:
    """The run's best checkpoint, at *path*, with other entries."""
    content = torch.load(run.best, weights_only=True)
    torch.save({**content, **changes}, path)
    return path


def test_a_checkpoint_rebuilds_its_network_from_itself(run: Run) -> None:
    """Nothing but the file is needed, and its weights are those that stand in it."""
    blueprint, network = checkpoint.load(run.best)

    assert (blueprint.net, blueprint.dataset, blueprint.seed) == ("lenet", "digits", 0)
    assert blueprint.geometry.shape == (28, 28, 1)
    assert not network.training
    stored = torch.load(run.best, weights_only=True)["state_dict"]
    assert stored.keys() == {f"network.{name}" for name in network.state_dict()}
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, stored[f"network.{name}"], rtol=0, atol=0)


def test_its_provenance_is_that_of_the_run(run: Run) -> None:
    """Data set, net, seed and the libraries that had a hand in it."""
    provenance = checkpoint.load(run.best)[0].provenance

    assert (provenance.dataset, provenance.net, provenance.seed) == ("digits", "lenet", 0)
    assert provenance.libraries["torch"] == torch.__version__


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 neither"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    """By its name, in one line."""
    path = tmp_path / "best.ckpt"
    path.write_bytes(content)

    with pytest.raises(InvalidCheckpoint, match=r"best\.ckpt: not a readable checkpoint"):
        checkpoint.load(path)


class Shell:
    """Pickled, it is a command for the shell."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("entry", ["hyper_parameters", "state_dict"])
def test_a_checkpoint_runs_no_code(run: Run, tmp_path: Path, entry: str) -> None:
    """A pickle that wants to is refused, wherever in the file it stands."""
    path = altered(run, tmp_path / "evil.ckpt", **{entry: Shell(tmp_path / "was here")})

    with pytest.raises(InvalidCheckpoint, match=r"evil\.ckpt: not a readable checkpoint"):
        checkpoint.load(path)

    assert not (tmp_path / "was here").exists()


def test_a_checkpoint_that_is_cut_short_is_refused(run: Run, tmp_path: Path) -> None:
    """Half of a good file is no file."""
    path = tmp_path / "half.ckpt"
    path.write_bytes(run.best.read_bytes()[:100_000])

    with pytest.raises(InvalidCheckpoint, match=r"half\.ckpt: not a readable checkpoint"):
        checkpoint.load(path)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    """Not to be unreadable."""
    with pytest.raises(InvalidCheckpoint, match="no such file"):
        checkpoint.load(tmp_path / "best.ckpt")


def test_a_checkpoint_of_another_project_is_refused(run: Run, tmp_path: Path) -> None:
    """Hyperparameters that are no blueprint: the first fault is named."""
    path = altered(run, tmp_path / "foreign.ckpt", hyper_parameters={"lr": 0.1})

    with pytest.raises(InvalidCheckpoint, match="not a checkpoint of ours: net: Field required"):
        checkpoint.load(path)


def test_weights_of_another_network_are_refused(run: Run, tmp_path: Path) -> None:
    """They are not loaded as far as they fit."""
    path = altered(run, tmp_path / "other.ckpt", state_dict={"network.net.0.weight": torch.zeros(6, 1, 5, 5)})

    with pytest.raises(InvalidCheckpoint, match="its weights do not belong to a lenet"):
        checkpoint.load(path)


def test_an_unknown_net_in_a_checkpoint_is_named(run: Run, tmp_path: Path) -> None:
    """With the known ones."""
    hparams = torch.load(run.best, weights_only=True)["hyper_parameters"]
    path = altered(run, tmp_path / "future.ckpt", hyper_parameters={**hparams, "net": "transformer"})

    with pytest.raises(UnknownName, match="no network 'transformer'"):
        checkpoint.load(path)
