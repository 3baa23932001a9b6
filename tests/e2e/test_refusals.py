"""What cannot be served ends `bentoml serve` within seconds, with one line that names the file or the provider."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import onnxruntime
import pytest

from models.store import MANIFEST, Manifest, ModelStore, Rung
from tests.e2e.server import start
from tests.factories import REPOSITORY

pytestmark = pytest.mark.e2e


def without_metadata(root: Path) -> None:
    """Stripped of its spec, and put into the store like that: every digest is right."""
    file = ModelStore(REPOSITORY).read("lenet", 1)
    model = onnx.load_from_string(file.data)
    model.ClearField("metadata_props")
    with ModelStore(root).put("lenet", {"fp32": Rung(admitted=True)}) as (folder, _):
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        (folder / "golden.npz").write_bytes(file.golden.to_bytes())


def copied(change: Callable[[Path], None]) -> Callable[[Path], None]:
    """The shipped store with a change made to its lenet/1."""

    def make(root: Path) -> None:
        shutil.copytree(REPOSITORY, root, dirs_exist_ok=True)
        change(root / "lenet" / "1")

    return make


def cut_short(folder: Path) -> None:
    data = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(data[: len(data) // 2])


def flip_a_byte(folder: Path) -> None:
    data = bytearray((folder / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 0x10
    (folder / "model.onnx").write_bytes(data)


def cut_short_with_its_manifest(folder: Path) -> None:
    cut_short(folder)
    data = (folder / "model.onnx").read_bytes()
    manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    content = manifest.model_dump()
    content["files"]["model.onnx"] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / MANIFEST).write_text(Manifest.model_validate(content).model_dump_json())


def nothing(root: Path) -> None:
    root.mkdir(exist_ok=True)


@pytest.mark.parametrize(
    ("make", "settings", "says"),
    [
        (without_metadata, {}, "lenet/1/model.onnx: no spec in the model's metadata"),
        (copied(cut_short), {}, "bytes, but the manifest says"),
        (copied(cut_short_with_its_manifest), {}, "lenet/1/model.onnx: not a loadable ONNX file"),
        (copied(flip_a_byte), {}, "lenet/1/model.onnx: SHA-256 differs from the manifest's"),
        (copied(lambda folder: (folder / "golden.npz").unlink()), {}, "lenet/1/golden.npz: No such file"),
        (nothing, {}, "holds no model version"),
        (copied(lambda _: None), {"provider": "cuda"}, "execution provider cuda"),
        (copied(lambda _: None), {"provider": "tensorrt"}, "execution provider tensorrt"),
        (copied(lambda _: None), {"max_batch_size": "lots"}, "CONVSERVE_MAX_BATCH_SIZE=lots"),
    ],
)
def test_the_start_is_refused(
    tmp_path: Path, make: Callable[[Path], None], settings: dict[str, str], says: str
) -> None:
    """Not zero, soon, one line, and nothing was ever served."""
    if "provider" in settings and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime was built for a GPU")
    store = tmp_path / "store"
    make(store)

    server = start(tmp_path, model_store=store, **settings)
    status = server.process.wait(20)

    lines = server.log.read_text().strip().splitlines()
    assert status != 0
    assert len(lines) == 1, lines
    assert says in lines[0]
