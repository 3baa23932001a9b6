"""service/rollout/control.py and admin.py: what is asked of one worker, all do, or none."""

import json
from pathlib import Path
from typing import Any

import pytest

from models.errors import InvalidModelFile
from service.rollout.deployment import DeploymentFile
from tests.asgi import request
from tests.service.rollout.pair import paired
from tests.stores import make_store, put_version


async def test_a_promotion_has_reached_every_worker_when_it_is_answered(tmp_path: Path) -> None:
    """And a rollback brings all back."""
    make_store(tmp_path / "store", 3)
    async with paired(tmp_path) as pair:
        assert await pair.active() == [3, 3]

        answer = await pair.post("lenet/promote", {"version": 1})

        assert (answer.status, answer.json()["plan"]["active"], answer.json()["plan"]["previous"]) == (200, 1, 3)
        assert await pair.active() == [1, 1]
        assert (await pair.post("lenet/rollback", worker=1)).status == 200
        assert await pair.active() == [3, 3]
        live = await request(pair.workers[0].application, "GET", "/v1/deployment")
        assert live.json()["generation"] == answer.json()["generation"] + 1


async def test_a_version_that_does_not_prove_itself_changes_nothing(tmp_path: Path) -> None:
    """On any worker; the reason is in the answer and in the index of all."""
    store = make_store(tmp_path / "store", 2)
    path = store / "lenet" / "1" / "model.onnx"
    data = bytearray(path.read_bytes())
    data[500] ^= 1
    path.write_bytes(bytes(data))
    async with paired(tmp_path) as pair:
        before = DeploymentFile(tmp_path / "state").read()

        answer = await pair.post("lenet/promote", {"version": 1})

        assert (answer.status, answer.json()["code"]) == (409, "load_failed")
        assert "lenet/1/model.onnx: SHA-256 differs" in answer.json()["error"]
        assert await pair.active() == [2, 2]
        assert DeploymentFile(tmp_path / "state").read() == before
        metrics = (await request(pair.workers[0].application, "GET", "/metrics")).body.decode()
        assert 'classifier_model_loads_total{model="lenet",outcome="rejected"} 1.0' in metrics
        assert 'classifier_model_loads_total{model="lenet",outcome="loaded"} 1.0' in metrics


async def test_what_one_worker_cannot_do_is_taken_back_on_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker that was asked can load the version, the other cannot."""
    make_store(tmp_path / "store", 2)
    async with paired(tmp_path) as pair:

        async def refuse(*_: Any) -> None:
            raise InvalidModelFile("no memory left here")

        monkeypatch.setattr(pair.workers[1].control.versions, "_load", refuse)
        answer = await pair.post("lenet/promote", {"version": 1})

        assert (answer.status, answer.json()["code"]) == (409, "load_failed")
        assert "no memory left here; the change was taken back" in answer.json()["error"]
        await pair.until(lambda: pair.workers[1].control.deployment.models["lenet"].active == 2)
        assert await pair.active() == [2, 2]


async def test_who_does_not_follow_in_time_is_named(tmp_path: Path) -> None:
    """504; the change stands, and is applied when the worker comes back to it."""
    make_store(tmp_path / "store", 2)
    async with paired(tmp_path, apply_timeout_s=0.3) as pair:
        async with pair.workers[1].control._lock:  # as while it loads something else
            answer = await pair.post("lenet/promote", {"version": 1})

        assert (answer.status, answer.json()["code"]) == (504, "not_applied")
        assert await pair.version(0) == 1
        await pair.until(lambda: pair.workers[1].control.deployment.models["lenet"].active == 1)


async def test_versions_and_models_come_and_go(tmp_path: Path) -> None:
    """Loaded beside the active one, unloaded, the whole model too, and back."""
    make_store(tmp_path / "store", 2)
    put_version(tmp_path / "store", "other", precisions=("fp32", "int8"))
    async with paired(tmp_path, default_model="lenet") as pair:
        assert (await pair.post("lenet/load", {"version": 1})).status == 200
        assert [await pair.version(worker, "?version=1") for worker in (0, 1)] == [1, 1]
        assert (await pair.post("other/load", {"version": 1, "precision": "int8"})).status == 200
        assert await pair.version(1, "?model=other&precision=int8") == 1

        assert (await pair.post("lenet/unload", {"version": 1})).status == 200
        gone = await request(pair.workers[1].application, "POST", "/v1/classify?version=1", b"")
        assert (gone.status, gone.json()["code"]) == (404, "unknown_model")
        assert (await pair.post("other/unload")).status == 200
        gone = await request(pair.workers[1].application, "POST", "/v1/classify?model=other", b"")
        assert (gone.status, gone.json()["code"]) == (404, "unknown_model")
        assert await pair.active() == [2, 2]

        assert (await pair.post("other/load")).status == 200
        assert await pair.version(1, "?model=other&precision=int8") == 1


async def test_a_canary_takes_its_share_on_every_worker(tmp_path: Path) -> None:
    """The same clients on both, none when it has ended; promoted, it is no canary any more."""
    make_store(tmp_path / "store", 2)
    async with paired(tmp_path) as pair:
        await pair.post("lenet/promote", {"version": 1})
        assert (await pair.post("lenet/canary", {"version": 2, "percent": 30})).status == 200

        clients = [f"client-{number}" for number in range(200)]
        sides = [[await pair.version(worker, X_Client_ID=client) for client in clients] for worker in (0, 1)]

        assert sides[0] == sides[1]
        assert 30 < sides[0].count(2) < 90
        assert (await pair.post("lenet/canary", method="DELETE")).status == 200
        assert {await pair.version(0, X_Client_ID=client) for client in clients} == {1}
        await pair.post("lenet/canary", {"version": 2, "percent": 30})
        promoted = await pair.post("lenet/promote", {"version": 2})
        assert promoted.json()["plan"]["canary"] is None


async def test_limits_and_precision_are_configured(tmp_path: Path) -> None:
    """`auto` takes one that there is and all workers take the same."""
    put_version(tmp_path / "store", precisions=("fp32", "int8"))
    async with paired(tmp_path) as pair:
        answer = await pair.post("lenet/configure", {"precision": "auto", "queue_capacity": 3, "max_wait_ms": 1})

        assert (answer.status, answer.json()["plan"]["queue_capacity"]) == (200, 3)
        summaries = [
            (await request(worker.application, "GET", "/v1/models/lenet")).json()["precision"]
            for worker in pair.workers
        ]
        measured = json.loads((tmp_path / "state" / "precisions.json").read_text())
        assert summaries == list(measured.values()) * 2
        assert await pair.active() == [1, 1]


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("lenet/promote", {"version": 7}, 409, "has no version 7"),
        ("lenet/promote", {"version": "1"}, 422, "version: Input should be a valid integer"),
        ("lenet/promote", {"version": 1, "force": True}, 422, "force: Extra inputs are not permitted"),
        ("lenet/promote", {}, 422, "version: Field required"),
        ("lenet/rollback", {"version": 1}, 422, "version: Extra inputs are not permitted"),
        ("lenet/rollback", None, 409, "no previous version"),
        ("lenet/canary", {"version": 1, "percent": 10}, 409, "cannot be its own canary"),
        ("lenet/canary", {"version": 1, "percent": 1e3}, 422, "percent: Input should be less than or equal to 100"),
        ("lenet/shadow", {"version": 1, "abort": {"min_agreement": 2}}, 422, "abort.min_agreement"),
        ("lenet/unload", {"version": 1}, 409, "version 1 is the active one"),
        ("lenet/configure", {"follow_latest": None}, 422, "follow_latest cannot be null"),
        ("lenet/configure", {"active": 2}, 422, "active: Extra inputs"),
        ("vgg/promote", {"version": 1}, 404, "no model 'vgg'"),
    ],
)
async def test_what_cannot_be_changed_is_refused(
    tmp_path: Path, path: str, body: object, status: int, says: str
) -> None:
    """By name and reason, and nothing changes."""
    make_store(tmp_path / "store")
    async with paired(tmp_path, 1) as pair:
        before = DeploymentFile(tmp_path / "state").read()

        answer = await pair.post(path, body)

        assert answer.status == status
        assert says in answer.json()["error"]
        assert DeploymentFile(tmp_path / "state").read() == before


async def test_a_body_that_is_no_json_is_told_so(tmp_path: Path) -> None:
    """Broken, or too deep to be meant."""
    make_store(tmp_path / "store")
    async with paired(tmp_path, 1) as pair:
        for body in (b"{", b"[" * 10_000, b"\xff", b'{"version": 1e400'):
            answer = await request(pair.workers[0].application, "POST", "/v1/models/lenet/promote", body)
            assert (answer.status, answer.json()["code"]) == (400, "bad_json"), body[:20]


async def test_a_worker_that_starts_later_serves_what_is_served(tmp_path: Path) -> None:
    """Not what the store would suggest."""
    make_store(tmp_path / "store", 2)
    async with paired(tmp_path, 1) as pair:
        await pair.post("lenet/promote", {"version": 1})
        async with paired(tmp_path, 1) as later:
            assert await later.active() == [1]


async def test_a_worker_that_starts_later_is_not_held_up_by_a_bad_new_model(tmp_path: Path) -> None:
    """Which the others have refused."""
    make_store(tmp_path / "store")
    async with paired(tmp_path, 1):
        put_version(tmp_path / "aside", "another")
        (tmp_path / "aside" / "another" / "1" / "golden.npz").write_bytes(b"")
        (tmp_path / "aside" / "another").rename(tmp_path / "store" / "another")
        async with paired(tmp_path, 1) as later:
            assert await later.active() == [1]
            assert "another" not in later.workers[0].control.deployment.models
