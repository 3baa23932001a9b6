"""Versions that must not be served, one after the other, while two workers serve a good one."""

import asyncio
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import pytest

from models.spec import METADATA_KEY
from models.store import GOLDEN, MANIFEST, ModelStore, Rung
from tests.e2e.server import Server, serving
from tests.e2e.traffic import flowing
from tests.factories import encode, make_image, make_spec
from tests.reporting import MUST_SHOW
from tests.stores import golden_of, make_model, make_store, reserialised

pytestmark = pytest.mark.e2e
IMAGE = encode(make_image())
MODEL = "model.onnx"
WEIGHTS = 8_000_000  # bytes of each bad version: if each stayed, fifty were 400 MB
Record = Callable[[str, object], None]  # of pytest, for the report


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Two workers with three versions, of which the third is active; they follow the store."""
    make_store(tmp_path / "store", 3)
    with serving(tmp_path, model_store=tmp_path / "store", workers=2) as started:
        yield started


def make_version(aside: Path, *, labels: int = 10, golden: int = 5) -> Path:
    """The next version of a store that nobody serves, with so many labels, and golden answers of a favourite."""
    with ModelStore(aside).put("lenet", {"fp32": Rung(admitted=True)}) as (folder, version):
        own = make_spec(version=version)

        def relabel(model: onnx.ModelProto) -> None:
            del model.metadata_props[:]
            fewer = make_spec(version=version, labels=own.labels[:labels], profile=None)
            model.metadata_props.add(key=METADATA_KEY, value=fewer.model_dump_json())

        content = make_model(own, 5, weights=WEIGHTS)
        answers = golden_of(own, {"fp32": content if golden == 5 else make_model(own, golden)})
        (folder / MODEL).write_bytes(content if labels == 10 else reserialised(content, relabel))
        (folder / GOLDEN).write_bytes(answers.to_bytes())
    return aside / "lenet" / str(version)


def put_whole(made: Path, place: Path) -> None:
    """From one moment to the next; what was made stays, so that the next one gets the next number."""
    new = place.with_name(".new")
    shutil.copytree(made, new)
    new.rename(place)


def flipped_bit(aside: Path, place: Path) -> None:
    """In the middle of the weights."""
    made = make_version(aside)
    data = bytearray((made / MODEL).read_bytes())
    data[len(data) // 2] ^= 1
    (made / MODEL).write_bytes(data)
    put_whole(made, place)


def missing_file(aside: Path, place: Path) -> None:
    """The model file itself."""
    made = make_version(aside)
    (made / MODEL).unlink()
    put_whole(made, place)


def wrong_labels(aside: Path, place: Path) -> None:
    """One too few, and every digest is right."""
    put_whole(make_version(aside, labels=9), place)


def golden_mismatch(aside: Path, place: Path) -> None:
    """The golden answers of another network, and every digest is right."""
    put_whole(make_version(aside, golden=6), place)


def slow_copy(aside: Path, place: Path) -> None:
    """Piece by piece, the last ones byte by byte, the manifest first; given up before the last byte."""
    made = make_version(aside)
    place.mkdir()
    for name in (MANIFEST, GOLDEN, MODEL):
        data = (made / name).read_bytes()
        with (place / name).open("wb", buffering=0) as file:
            step = len(data) // 10
            for start in range(0, 10 * step, step):
                file.write(data[start : start + step])
                time.sleep(0.05)
            for byte in data[10 * step : -1] if name == MODEL else [data[10 * step :]]:
                file.write(bytes([byte]) if isinstance(byte, int) else byte)


FAULTS: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "flipped bit": (flipped_bit, "SHA-256 differs"),
    "missing file": (missing_file, "No such file"),
    "wrong labels": (wrong_labels, "the spec has 9 labels"),
    "golden mismatch": (golden_mismatch, "fails its golden images"),
    "slow copy": (slow_copy, "bytes, but the manifest says"),
}


def resident_bytes(pid: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def shown(server: Server, version: int) -> list[str]:
    """State and reason of a version in both lists, as some worker has them."""
    with server.client() as client:
        summary = client.get("/v1/models/lenet").json()["versions"]
        index = client.post("/v2/repository/index").json()
    faces = [line for line in index if line["version"] == str(version)]
    lines = [one for one in summary if one["version"] == version] + faces
    return [f"{one['state']} {one.get('reason')}" for one in lines]


def rejected(server: Server) -> float:
    """Loads that failed, by the metric, both workers together."""
    with server.client() as client:
        text = client.get("/metrics").text
    found = re.search(r'^classifier_model_loads_total{model="lenet",outcome="rejected"} (\S+)$', text, re.MULTILINE)
    return float(found[1]) if found else 0.0


async def refuse_all(server: Server, folder: Path, attempts: int) -> tuple[list[int], int]:
    """Put bad versions into the store, one kind after the other, under load, and ask for each over HTTP.

    Return the workers' memory together after each, and how many requests were answered meanwhile, all by the old one.
    """
    sizes = []
    kinds = list(FAULTS.values())
    make_store(folder / "aside", 3)
    async with flowing(server.port, 8, IMAGE, 3) as traffic:
        for number in range(4, 4 + attempts):
            fault, reason = kinds[number % len(kinds)]
            failed = await asyncio.to_thread(rejected, server)
            await asyncio.to_thread(fault, folder / "aside", folder / "store" / "lenet" / str(number))
            for _ in range(4):  # on connections of their own: both workers know it in the end
                while not _told(lines := await asyncio.to_thread(shown, server, number), reason):
                    assert not any(line.startswith("READY") for line in lines)
                    await asyncio.sleep(0.1)
            with server.client() as client:
                answer = await asyncio.to_thread(client.post, "/v1/models/lenet/promote", json={"version": number})
            assert answer.status_code == 409, answer.text
            assert reason in answer.json()["error"]
            while await asyncio.to_thread(rejected, server) < failed + 1:
                await asyncio.sleep(0.1)
            sizes.append(sum(resident_bytes(pid) for pid in server.workers()))
    assert traffic.faults == []
    return sizes, traffic.answered


def _told(lines: list[str], reason: str) -> bool:
    """In the list of versions and for both faces in the index."""
    return len(lines) == 3 and all(line.startswith("UNAVAILABLE") and reason in line for line in lines)


def test_each_kind_of_bad_version_is_refused_with_its_reason(server: Server, tmp_path: Path) -> None:
    """In the list of models, in the repository index, in the answer to who asks for it, and counted."""
    _, answered = asyncio.run(asyncio.wait_for(refuse_all(server, tmp_path, len(FAULTS)), 120))

    assert answered > 100


@pytest.mark.slow
def test_fifty_bad_versions_leave_no_memory_behind(server: Server, tmp_path: Path, record_property: Record) -> None:
    """Ten of each kind: the old version answers every request, and the workers have not grown by two of them."""
    sizes, answered = asyncio.run(asyncio.wait_for(refuse_all(server, tmp_path, 50), 280))

    grown = min(sizes[-10:]) - min(sizes[5:15])
    record_property(MUST_SHOW, "50 bad versions: the old one serves, the reason is shown, memory does not grow")
    record_property("bad versions", len(sizes))
    record_property("requests answered by the old one meanwhile", f"{answered:,}")
    record_property("MB that both workers grew by", round(grown / 1e6, 1))
    assert grown < 16_000_000
