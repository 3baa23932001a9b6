"""service/rollout/first.py and service/preflight.py: what a server starts with, and what it refuses to start with."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from models.errors import InvalidModelFile, ModelNotFound
from service import preflight
from service.rollout import deployment, first
from service.rollout.deployment import Deployment, DeploymentFile, InvalidDeployment, ModelPlan
from service.settings import Settings
from tests.stores import make_store, put_version


def start(tmp_path: Path, **changes: Any) -> Deployment:
    """The deployment of a server with a store and a state folder below *tmp_path*."""
    (tmp_path / "state").mkdir(exist_ok=True)
    settings = Settings(model_store=tmp_path / "store", provider="cpu", **changes)
    return first.initialise(DeploymentFile(tmp_path / "state"), first.open_store(settings), settings)


def test_without_memory_the_highest_versions_are_served(tmp_path: Path) -> None:
    """And followed; a single model is the default."""
    make_store(tmp_path / "store", 2)

    live = start(tmp_path)

    assert live == Deployment(generation=1, default="lenet", models={"lenet": ModelPlan(active=2, follow_latest=True)})
    assert start(tmp_path) == live


def test_the_file_beside_the_models_is_the_first_value_only(tmp_path: Path) -> None:
    """What was changed while serving outlives it."""
    store = make_store(tmp_path / "store", 2)
    (store / deployment.FILE).write_text('{"models": {"lenet": {"active": 1, "max_batch_size": 4}}}')

    assert start(tmp_path).models["lenet"] == ModelPlan(active=1, max_batch_size=4)
    DeploymentFile(tmp_path / "state").change(lambda live: live.with_plan("lenet", ModelPlan(active=2, previous=1)))

    assert start(tmp_path).models["lenet"] == ModelPlan(active=2, previous=1)


def test_a_model_that_is_added_while_down_joins_and_the_default_stays(tmp_path: Path) -> None:
    """Requests that name no model mean what they meant."""
    make_store(tmp_path / "store")
    start(tmp_path)
    put_version(tmp_path / "store", "another")

    live = start(tmp_path)

    assert set(live.models) == {"another", "lenet"}
    assert live.default == "lenet"


def test_several_models_have_no_default_of_their_own(tmp_path: Path) -> None:
    """One that is set must exist."""
    make_store(tmp_path / "store")
    put_version(tmp_path / "store", "other")

    assert start(tmp_path).default is None
    with pytest.raises(ModelNotFound, match="CONVSERVE_DEFAULT_MODEL=vgg: the store has lenet, other"):
        start(tmp_path, default_model="vgg")


def test_a_version_that_left_the_store(tmp_path: Path) -> None:
    """Refuses the start where it was chosen; where the store is followed, the highest takes its place."""
    store = make_store(tmp_path / "store", 3)
    start(tmp_path)
    shutil.rmtree(store / "lenet" / "3")

    assert start(tmp_path).models["lenet"].active == 2
    DeploymentFile(tmp_path / "state").change(lambda live: live.with_plan("lenet", ModelPlan(active=3)))
    with pytest.raises(ModelNotFound, match=r"lenet version 3 is active, but it is not in .*store: it has 1, 2"):
        start(tmp_path)


def test_an_empty_store_and_a_bad_file_are_refused(tmp_path: Path) -> None:
    """With one line each."""
    (tmp_path / "store").mkdir()
    with pytest.raises(ModelNotFound, match="holds no model version"):
        start(tmp_path)
    (tmp_path / "store" / deployment.FILE).write_text("{}}")
    with pytest.raises(InvalidDeployment, match=r"deployment\.json"):
        start(tmp_path)


def test_the_state_folder_must_be_writable_where_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default gives way to a temporary one."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(first.UnusableFolder, match=r"state folder .*/file/state: Not a directory"):
        first.state_folder(Settings(state_dir=blocked / "state"))

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    folder = first.state_folder(Settings(model_store=tmp_path))
    assert folder.parent == tmp_path / "home" / "convserve"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert first.state_folder(Settings(model_store=tmp_path / "other")) != folder
    monkeypatch.setenv("XDG_STATE_HOME", str(blocked))
    other = first.state_folder(Settings(model_store=tmp_path))
    assert other.is_dir()
    other.rmdir()


def test_the_check_before_the_start_loads_every_active_version(tmp_path: Path) -> None:
    """The second of two models is damaged."""
    make_store(tmp_path / "store")
    put_version(tmp_path / "store", "other")
    settings = Settings(model_store=tmp_path / "store", state_dir=tmp_path / "state", provider="cpu")
    assert preflight.check(settings) == tmp_path / "state"
    path = tmp_path / "store" / "other" / "1" / "model.onnx"
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(bytes(data))

    with pytest.raises(InvalidModelFile, match=r"other/1/model\.onnx: SHA-256 differs"):
        preflight.check(settings)
