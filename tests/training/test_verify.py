"""training/verify.py and its command, without a service; with one it is tests/e2e/test_verify.py."""

from pathlib import Path

import numpy as np
import pytest

from models.store import ModelStore
from tests.training.test_main import invoke
from training.errors import InvalidCheckpoint
from training.fit import Run
from training.publish import Exported
from training.verify import Way, verify


def store_of(exported: Exported) -> ModelStore:
    """The store that an export is in."""
    return ModelStore(exported.path.parents[2])


def test_checkpoint_and_model_file_have_the_same_figure(run: Run, exported: Exported) -> None:
    """The whole test split; the checkpoint is found by the answers that it gives."""
    checkpoint, file = verify(store_of(exported), "lenet", 1, runs=run.folder.parent)

    assert str(run.best) in checkpoint.name
    assert checkpoint.images == file.images == 360
    assert checkpoint.right == file.right
    assert (file.agreement, file.holds) == (1.0, True)
    assert file.delta_logit is not None
    assert 0 < file.delta_logit < 1e-4
    assert exported.quality is not None
    assert file.top1 == exported.quality.top1


def test_int8_may_differ_by_as_much_as_the_ladder_lets_it(trained: Run, settled: Exported) -> None:
    """One image in a hundred."""
    _, file = verify(store_of(settled), "lenet", 1, precision="int8", path=trained.best)

    assert file.required == 0.99
    assert file.holds
    assert file.delta_logit is not None
    assert file.delta_logit > 1e-3


def test_another_checkpoint_does_not_pass(trained: Run, exported: Exported) -> None:
    """Exit code 1, and the table shows by how much they differ."""
    result = invoke("verify", "lenet", "--store", store_of(exported).root, "--checkpoint", trained.best)

    assert result.exit_code == 1
    assert result.stderr == "error: they do not give the same answers\n"
    assert "/360" in result.stdout


def test_a_checkpoint_that_is_not_there_is_asked_for(trained: Run, exported: Exported, tmp_path: Path) -> None:
    """None of the runs answers as the model does."""
    with pytest.raises(InvalidCheckpoint, match="no checkpoint there answers as lenet version 1"):
        verify(store_of(exported), "lenet", 1, runs=trained.folder.parent)
    with pytest.raises(InvalidCheckpoint, match="name it with --checkpoint"):
        verify(store_of(exported), "lenet", 1, runs=tmp_path / "none")


def test_the_command_prints_all_figures(run: Run, exported: Exported) -> None:
    """And that they are the same."""
    result = invoke("verify", "lenet:1", "--store", store_of(exported).root, "--runs", run.folder.parent)

    assert result.exit_code == 0, result.output
    assert "100.00%" in result.stdout
    assert "the same answers" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nobody"], "error: model 'nobody' has no version 1 in "),
        (["lenet:9"], "error: model 'lenet' has no version 9 in "),
        (["lenet", "--checkpoint", "none.ckpt"], "error: none.ckpt: no such file\n"),
        (["lenet", "--url", "http://127.0.0.1:1"], "error: http://127.0.0.1:1"),
    ],
)
def test_faults_of_the_user_are_one_line(arguments: list[str], message: str, exported: Exported) -> None:
    """Exit code 2."""
    result = invoke("verify", *arguments, "--store", store_of(exported).root)

    assert result.exit_code == 2
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1


def test_a_way_holds_by_its_agreement() -> None:
    """The first one has nothing to agree with."""
    assert Way("checkpoint", 9, 10).holds
    assert not Way("service", 9, 10, agreement=np.nextafter(1, 0)).holds
    assert Way("int8", 9, 10, agreement=0.99, required=0.99).holds
