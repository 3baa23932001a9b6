"""service/rollout/watch.py: what appears in the store is proved before it serves, and what is wrong with it is told."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from models.golden import Golden
from models.store import MANIFEST, ModelStore
from service.rollout.deployment import DeploymentFile, ModelPlan
from tests.asgi import request
from tests.service.rollout.pair import Pair, paired
from tests.stores import make_store, put_version, reserialised


def rehash(folder: Path) -> None:
    """Make the manifest fit the files again."""
    manifest = json.loads((folder / MANIFEST).read_text())
    for name in manifest["files"]:
        data = (folder / name).read_bytes()
        manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / MANIFEST).write_text(json.dumps(manifest))


def flip_a_bit(folder: Path) -> None:
    data = bytearray((folder / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model.onnx").write_bytes(bytes(data))


def lose_a_file(folder: Path) -> None:
    (folder / "golden.npz").unlink()


def change_the_labels(folder: Path) -> None:
    path = folder / "model.onnx"

    def relabel(model: object) -> None:
        (entry,) = model.metadata_props  # type: ignore[attr-defined]
        spec = json.loads(entry.value)
        spec["labels"] = spec["labels"][:-1]
        spec["profile"]["classes"] = spec["profile"]["classes"][:-1]
        entry.value = json.dumps(spec)

    path.write_bytes(reserialised(path.read_bytes(), relabel))
    rehash(folder)


def forge_the_golden_answers(folder: Path) -> None:
    path = folder / "golden.npz"
    golden = Golden.from_bytes(path.read_bytes(), str(path))
    changed = Golden(golden.files, golden.class_ids, {"fp32": golden.logits["fp32"] + 0.5})
    path.write_bytes(changed.to_bytes())
    rehash(folder)


def cut_the_manifest(folder: Path) -> None:
    path = folder / MANIFEST
    path.write_bytes(path.read_bytes()[:-20])


FAULTS: list[tuple[Callable[[Path], None], str]] = [
    (flip_a_bit, "SHA-256 differs from the manifest's"),
    (lose_a_file, "golden.npz: No such file or directory"),
    (change_the_labels, "logits are of 10 classes, but the spec has 9 labels"),
    (forge_the_golden_answers, "fails its golden images: golden logits differ by 0.5"),
    (cut_the_manifest, "invalid manifest"),
]


async def refused(pair: Pair, version: int, says: str) -> None:
    """Wait until both workers say that and why a version is not served."""
    for worker in range(len(pair.workers)):

        async def told(worker: int = worker) -> bool:
            state, reason = (await pair.states(worker)).get(version, ("", ""))
            return state == "UNAVAILABLE" and says in reason

        await pair.until(told)


@pytest.mark.parametrize(("spoil", "says"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
async def test_a_bad_new_version_leaves_the_old_one_serving(
    tmp_path: Path, spoil: Callable[[Path], None], says: str
) -> None:
    """Every worker says what is wrong with it; mended, it is served."""
    make_store(tmp_path / "store")
    make_store(tmp_path / "aside", 2)
    async with paired(tmp_path) as pair:
        assert await pair.active() == [1, 1]
        new = tmp_path / "aside" / "lenet" / "2"
        spoilt = tmp_path / "spoilt"
        shutil.copytree(new, spoilt)
        spoil(spoilt)

        spoilt.rename(pair.store / "lenet" / "2")

        await refused(pair, 2, says)
        assert await pair.active() == [1, 1]
        shutil.rmtree(pair.store / "lenet" / "2")
        shutil.copytree(new, pair.store / "lenet" / "2")
        await pair.until(lambda: all(w.control.deployment.models["lenet"].active == 2 for w in pair.workers))
        assert await pair.active() == [2, 2]


async def test_a_version_that_is_copied_slowly_is_never_half_served(tmp_path: Path) -> None:
    """In whatever order its files arrive, it is served when it is whole."""
    make_store(tmp_path / "store")
    make_store(tmp_path / "aside", 2)
    async with paired(tmp_path) as pair:
        target = pair.store / "lenet" / "2"
        target.mkdir()
        for name in (MANIFEST, "model.onnx", "golden.npz"):  # the worst order
            data = (tmp_path / "aside" / "lenet" / "2" / name).read_bytes()
            for size in (len(data) // 3, len(data) - 1, len(data)):
                assert await pair.active() == [1, 1]
                (target / name).write_bytes(data[:size])
                for worker in pair.workers:
                    await worker._watch.scan()

        await pair.until(lambda: all(w.control.deployment.models["lenet"].active == 2 for w in pair.workers))
        assert await pair.active() == [2, 2]


async def test_what_was_pinned_is_not_replaced(tmp_path: Path) -> None:
    """A new version is verified and lies there; asked to follow again, the server takes it."""
    make_store(tmp_path / "store")
    async with paired(tmp_path) as pair:
        await pair.post("lenet/promote", {"version": 1})
        put_version(tmp_path / "store")

        await refused(pair, 2, "not loaded")
        flip_a_bit(pair.store / "lenet" / "2")
        await refused(pair, 2, "SHA-256 differs")
        assert await pair.active() == [1, 1]

        put_version(tmp_path / "store")
        await pair.post("lenet/configure", {"follow_latest": True})
        await pair.until(lambda: all(w.control.deployment.models["lenet"].active == 3 for w in pair.workers))
        assert await pair.active() == [3, 3]


async def test_a_new_model_is_served_and_the_default_stays(tmp_path: Path) -> None:
    """Requests that name no model mean what they meant."""
    make_store(tmp_path / "store", 2)
    async with paired(tmp_path) as pair:
        put_version(tmp_path / "store", "another")

        await pair.until(lambda: all("another" in w.control.catalog.lineups for w in pair.workers))

        assert [await pair.version(worker, "?model=another") for worker in (0, 1)] == [1, 1]
        assert await pair.active() == [2, 2]


async def test_files_that_change_under_a_served_version(tmp_path: Path) -> None:
    """Good ones are taken; bad ones leave what is in memory, with the reason beside it; gone ones too."""
    store = make_store(tmp_path / "store")
    async with paired(tmp_path) as pair:
        folder = store / "lenet" / "1"
        before = (await request(pair.workers[1].application, "GET", "/v1/models/lenet")).json()["sha256"]
        flip_a_bit(folder)

        async def told(says: str) -> bool:
            return all([says in (await pair.states(worker))[1][1] for worker in (0, 1)])

        await pair.until(lambda: told("SHA-256 differs"))
        assert await pair.active() == [1, 1]

        shutil.rmtree(folder)
        await pair.until(lambda: told("has no version 1"))
        assert await pair.active() == [1, 1]

        put_version(tmp_path / "other", favourite=1, tilt=3.0)
        shutil.copytree(tmp_path / "other" / "lenet" / "1", folder)
        await pair.until(lambda: told(""))

        async def replaced() -> bool:
            summaries = [
                (await request(worker.application, "GET", "/v1/models/lenet")).json() for worker in pair.workers
            ]
            return all(one["sha256"] != before and "reason" not in one["versions"][0] for one in summaries)

        await pair.until(replaced)
        assert await pair.active() == [1, 1]


async def test_a_deployment_that_is_edited_by_hand_is_followed(tmp_path: Path) -> None:
    """And a bad edit is not."""
    make_store(tmp_path / "store", 3)
    async with paired(tmp_path) as pair:
        file = DeploymentFile(tmp_path / "state")
        good = file.change(lambda live: live.with_plan("lenet", ModelPlan(active=1)))
        await pair.until(lambda: all(w.control.deployment == good for w in pair.workers))
        assert await pair.active() == [1, 1]

        file.path.write_text('{"generation": 9, "models": {"lenet": {"active": "two"}}}')
        for worker in pair.workers:
            await worker.control.follow()
        assert await pair.active() == [1, 1]

        file.path.write_text('{"generation": 10, "models": {"lenet": {"active": 2}}}')
        await pair.until(lambda: all(w.control.deployment.generation == 10 for w in pair.workers))
        assert await pair.active() == [2, 2]


async def test_fifty_bad_versions_leave_no_memory_behind(tmp_path: Path) -> None:
    """Nor do their sessions: with 8 MB of weights each, one that stayed would be seen."""
    make_store(tmp_path / "store")
    put_version(tmp_path / "aside", favourite=1, weights=8_000_000)
    put_version(tmp_path / "aside", favourite=2, weights=8_000_000)
    forge_the_golden_answers(tmp_path / "aside" / "lenet" / "2")
    async with paired(tmp_path, 1) as pair:
        shutil.copytree(tmp_path / "aside" / "lenet" / "2", pair.store / "lenet" / "2")
        sizes = []
        for _ in range(50):
            answer = await pair.post("lenet/promote", {"version": 2})
            assert (answer.status, answer.json()["code"]) == (409, "load_failed")
            assert "fails its golden images" in answer.json()["error"]
            sizes.append(resident_bytes())

        assert await pair.active() == [1]
        assert min(sizes[-10:]) - min(sizes[5:15]) < 16_000_000  # two of them; if each stayed it would be 400 MB


def resident_bytes() -> int:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def test_reading_a_version_does_not_depend_on_its_folder_only(tmp_path: Path) -> None:
    """Stamps tell files apart by name, size and time."""
    store = ModelStore(make_store(tmp_path, 2))

    stamps = store.stamps()

    assert set(stamps) == {("lenet", 1), ("lenet", 2)}
    assert {name for name, _, _ in stamps["lenet", 1]} == {"golden.npz", "manifest.json", "model.onnx"}
    assert store.stamp("lenet", 3) == ()
