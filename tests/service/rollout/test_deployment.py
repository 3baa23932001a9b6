"""service/rollout/deployment.py: the file, its generations, and what it may say."""

import json
import threading
from pathlib import Path

import pytest
from pydantic import ValidationError

from service.rollout.deployment import Abort, Deployment, DeploymentFile, InvalidDeployment, ModelPlan


def test_a_change_is_written_with_the_next_generation(tmp_path: Path) -> None:
    """And nothing is written when nothing changes."""
    file = DeploymentFile(tmp_path)
    assert file.read() is None
    assert file.stamp() is None

    first = file.change(lambda live: live.with_plan("lenet", ModelPlan(active=1)))
    stamp = file.stamp()
    same = file.change(lambda live: live)

    assert (first.generation, same.generation) == (1, 1)
    assert file.stamp() == stamp
    second = file.change(lambda live: live.with_plan("lenet", ModelPlan(active=2)))
    assert second.generation == 2
    assert file.read() == second
    assert file.stamp() != stamp
    assert json.loads(file.path.read_text())["models"]["lenet"]["active"] == 2


def test_changes_at_the_same_time_all_count(tmp_path: Path) -> None:
    """None is lost between another's reading and writing."""
    file = DeploymentFile(tmp_path)

    def add(name: str) -> None:
        for _ in range(10):
            file.change(lambda live: live.with_plan(name, ModelPlan(active=live.generation + 1)))

    threads = [threading.Thread(target=add, args=(f"model-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    final = file.read()
    assert final is not None
    assert final.generation == 40
    assert set(final.models) == {f"model-{number}" for number in range(4)}


def test_an_edit_that_raises_changes_nothing(tmp_path: Path) -> None:
    """The file is as it was, and free for the next."""
    file = DeploymentFile(tmp_path)
    before = file.change(lambda live: live.with_plan("lenet", ModelPlan(active=1)))

    def fail(_: Deployment) -> Deployment:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        file.change(fail)

    assert file.read() == before
    assert file.change(lambda live: live) == before


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "Invalid JSON"),
        ('{"models": {"lenet": {"activ": 1}}}', "models.lenet.activ: Extra inputs"),
        ('{"models": {"lenet": {"active": "1"}}}', "models.lenet.active: Input should be a valid integer"),
        ('{"models": {"LeNet": {}}}', "models.LeNet"),
        ('{"models": {"lenet": {"canary": {"version": 1, "percent": 101}}}}', "models.lenet.canary.percent"),
        ('{"models": {"lenet": {"shadow": {"version": 1, "abort": {}}}}}', "an abort rule needs"),
        ('{"models": {"lenet": {"precision": "int4"}}}', "models.lenet.precision"),
        ('{"deployment_version": 2}', "deployment_version"),
    ],
)
def test_a_file_that_says_what_cannot_be_is_refused(tmp_path: Path, content: str, says: str) -> None:
    """With one line that names the file and the field."""
    file = DeploymentFile(tmp_path)
    file.path.write_text(content)

    with pytest.raises(InvalidDeployment) as refused:
        file.read()

    assert str(refused.value).startswith(f"{file.path}: ")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_abort_rule_has_a_limit() -> None:
    """One of three, or it would never do anything."""
    assert Abort(min_agreement=0.9).min_samples == 100
    with pytest.raises(ValidationError, match="min_agreement, max_divergence or max_error_share"):
        Abort(min_samples=5)
