"""service/rollout/precisions.py: what is remembered of what was measured, and what is not believed."""

import errno
import json
import os
from pathlib import Path

import pytest

from models.store import ModelStore, Precision
from service.rollout import precisions, shared_file
from service.rollout.deployment import ModelPlan
from service.settings import Settings
from tests.stores import put_version


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the models that were measured, in `tmp_path/store`; int8 is the fastest of each."""
    put_version(tmp_path / "store", precisions=("fp32", "int8"))
    names: list[str] = []

    def fastest(_: ModelStore, name: str, *__: object) -> Precision:
        names.append(name)
        return "int8"

    monkeypatch.setattr(precisions, "_fastest", fastest)
    return names


def resolve(folder: Path) -> Precision:
    """What `auto` is in that state folder."""
    store, settings = ModelStore(folder / "store"), Settings(provider="cpu")
    return precisions.resolve(store, ("lenet", 1), ModelPlan(active=1, precision="auto"), settings, folder)


def test_what_was_measured_is_remembered(tmp_path: Path, measured: list[str]) -> None:
    """By the next start, too."""
    assert [resolve(tmp_path) for _ in range(3)] == ["int8"] * 3
    assert measured == ["lenet"]


@pytest.mark.parametrize("content", [b"", b'{"lenet/1/cpu', b"\xff", b"[]", b"[" * 100_000])
def test_what_cannot_be_read_is_measured_again(tmp_path: Path, measured: list[str], content: bytes) -> None:
    """As after a full disk; it is written anew."""
    path = tmp_path / "precisions.json"
    path.write_bytes(content)

    assert [resolve(tmp_path) for _ in range(2)] == ["int8"] * 2
    assert measured == ["lenet"]
    assert list(json.loads(path.read_text()).values()) == ["int8"]


@pytest.mark.parametrize("value", ["int4", 1, None, []])
def test_a_precision_that_there_is_not_is_measured_again(tmp_path: Path, measured: list[str], value: object) -> None:
    """The other entries stay."""
    resolve(tmp_path)
    path = tmp_path / "precisions.json"
    (key,) = json.loads(path.read_text())
    path.write_text(json.dumps({key: value, "other/1/cpu/x": "fp32"}))

    assert resolve(tmp_path) == "int8"
    assert measured == ["lenet"] * 2
    assert json.loads(path.read_text()) == {key: "int8", "other/1/cpu/x": "fp32"}


def test_on_a_full_disk_the_file_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sees the part that was written."""
    path = tmp_path / "file.json"
    shared_file.replace(path, "{}")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        shared_file.replace(path, '{"more": 1}')

    assert path.read_text() == "{}"


def test_on_a_full_disk_what_was_measured_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: list[str]
) -> None:
    """A server starts without it having been written down."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    assert [resolve(tmp_path) for _ in range(2)] == ["int8"] * 2
    assert measured == ["lenet"] * 2
