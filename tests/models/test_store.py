"""models/store.py."""

import json
import threading
from pathlib import Path

import pytest

from models.errors import InvalidModelFile, ModelNotFound
from models.store import MANIFEST, ModelStore, Precision, Rung
from tests.models.test_golden import make_golden

LADDER: dict[Precision, Rung] = {
    "fp32": Rung(admitted=True),
    "int8": Rung(admitted=False, reason="top-1 fell by 3 points"),
}


def put(store: ModelStore, name: str = "lenet", content: bytes = b"an ONNX file") -> int:
    """Add a version whose model file is *content*."""
    with store.put(name, LADDER) as (folder, version):
        (folder / "model.onnx").write_bytes(content)
        (folder / "golden.npz").write_bytes(make_golden().to_bytes())
    return version


def test_what_was_put_is_what_is_read(tmp_path: Path) -> None:
    """Bytes, digest and golden images of the version asked for."""
    store = ModelStore(tmp_path)
    version = put(store)

    file = store.read("lenet", version)

    assert file.data == b"an ONNX file"
    assert file.path == tmp_path / "lenet" / "1" / "model.onnx"
    assert len(file.golden.files) == 3
    assert store.manifest("lenet", 1).files["model.onnx"].sha256 == file.sha256


def test_versions_count_up(tmp_path: Path) -> None:
    """Each put is the next integer, also past folders that are not complete."""
    store = ModelStore(tmp_path)
    (tmp_path / "lenet" / "3").mkdir(parents=True)

    assert [put(store), put(store)] == [4, 5]
    assert store.versions("lenet") == [4, 5]
    assert store.names() == ["lenet"]


def test_a_put_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Neither a version nor files that were half written."""
    store = ModelStore(tmp_path)

    with pytest.raises(RuntimeError, match="parity"), store.put("lenet", LADDER) as (folder, _):
        (folder / "model.onnx").write_bytes(b"half")
        raise RuntimeError("parity")

    assert store.versions("lenet") == []
    assert list((tmp_path / "lenet").iterdir()) == []


def test_a_put_without_its_files_is_refused(tmp_path: Path) -> None:
    """An admitted precision needs its file, every version its golden images."""
    store = ModelStore(tmp_path)

    with pytest.raises(InvalidModelFile, match=r"golden.npz not written"), store.put("lenet", LADDER) as (folder, _):
        (folder / "model.onnx").write_bytes(b"x")

    assert store.versions("lenet") == []


def test_puts_at_once_get_versions_of_their_own(tmp_path: Path) -> None:
    """Writers wait for each other."""
    store = ModelStore(tmp_path)
    threads = [threading.Thread(target=put, args=(store,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert store.versions("lenet") == list(range(1, 9))


@pytest.mark.parametrize("name", ["", "LeNet", "../up", "a/b", "lenet-image", ".hidden", "a" * 65])
def test_names_that_are_none_are_refused(tmp_path: Path, name: str) -> None:
    """A name cannot leave the store, and never reads like another model's face."""
    store = ModelStore(tmp_path)

    assert store.versions(name) == []
    with pytest.raises(ModelNotFound), store.put(name, LADDER):
        pass


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    """The digest is of the bytes that are handed on."""
    store = ModelStore(tmp_path)
    put(store)
    (tmp_path / "lenet" / "1" / "model.onnx").write_bytes(b"an ONNX fibe")

    with pytest.raises(InvalidModelFile, match=r"model.onnx: SHA-256 differs"):
        store.read("lenet", 1)


def test_a_short_or_missing_file_is_found(tmp_path: Path) -> None:
    """By its length, or by not being there; the line names the path."""
    store = ModelStore(tmp_path)
    put(store)
    path = tmp_path / "lenet" / "1" / "golden.npz"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InvalidModelFile, match=r"golden.npz: \d+ bytes, but the manifest says \d+"):
        store.read("lenet", 1)

    path.unlink()
    with pytest.raises(InvalidModelFile, match=r"golden.npz: No such file"):
        store.read("lenet", 1)


def test_a_version_that_is_not_there_is_named(tmp_path: Path) -> None:
    """As is a precision that was refused, with its reason."""
    store = ModelStore(tmp_path)
    put(store)

    with pytest.raises(ModelNotFound, match="model 'lenet' has no version 2"):
        store.read("lenet", 2)
    with pytest.raises(ModelNotFound, match="has no int8: top-1 fell by 3 points"):
        store.read("lenet", 1, "int8")
    with pytest.raises(ModelNotFound, match="has no fp16: it was not made"):
        store.read("lenet", 1, "fp16")


def test_a_store_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A wrong path is not an empty store."""
    with pytest.raises(ModelNotFound, match="no such folder"):
        ModelStore(tmp_path / "nowhere").names()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda content: content | {"name": "vgg"}, "speaks of vgg version 1"),
        (lambda content: content | {"version": 2}, "speaks of lenet version 2"),
        (lambda content: content | {"manifest_version": 9}, "invalid manifest: manifest_version"),
        (lambda content: content | {"files": {}}, "model.onnx: not in the manifest"),
    ],
)
def test_a_manifest_that_disagrees_is_refused(tmp_path: Path, change: object, says: str) -> None:
    """A folder that was renamed or edited is not loaded."""
    store = ModelStore(tmp_path)
    put(store)
    path = tmp_path / "lenet" / "1" / MANIFEST
    path.write_text(json.dumps(change(json.loads(path.read_text()))))  # type: ignore[operator]

    with pytest.raises(InvalidModelFile, match=says):
        store.read("lenet", 1)


def test_a_folder_without_a_manifest_is_no_version(tmp_path: Path) -> None:
    """Which is how half-copied folders look."""
    store = ModelStore(tmp_path)
    put(store)
    (tmp_path / "lenet" / "1" / MANIFEST).unlink()

    assert store.versions("lenet") == []
    assert store.names() == []
