"""Canary, shadow and their end by rule, with two workers: what a client sees and what Prometheus sees."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.rollout.deployment import DeploymentFile
from service.rollout.peers import Peers
from tests.e2e.server import Server, serving
from tests.e2e.traffic import Connection, flowing
from tests.factories import encode, make_image
from tests.stores import put_version

pytestmark = pytest.mark.e2e
IMAGE = encode(make_image())
CLIENTS = 5_000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Two workers with three versions: the second agrees with the first, the third does not; the first is active."""
    put_version(tmp_path / "store", favourite=1, tilt=2.0)
    put_version(tmp_path / "store", favourite=1, tilt=1.0)
    put_version(tmp_path / "store")
    with serving(tmp_path, model_store=tmp_path / "store", workers=2, state_dir=tmp_path / "live") as started:
        with started.client() as client:
            assert client.post("/v1/models/lenet/promote", json={"version": 1}).status_code == 200
        yield started


def change(server: Server, path: str, body: dict[str, Any]) -> None:
    """POST to a route of the model, which must be answered 200."""
    with server.client() as client:
        answer = client.post(f"/v1/models/lenet/{path}", json=body)
    assert answer.status_code == 200, answer.text


def series(server: Server, *names: str) -> list[dict[str, float]]:
    """The values of metrics by their labels, all workers together, in one scrape."""
    with server.client() as client:
        text = client.get("/metrics").text
    return [
        {labels: float(value) for labels, value in re.findall(rf"^{name}{{(.*)}} (\S+)$", text, re.MULTILINE)}
        for name in names
    ]


def wait_until(state: Callable[[], bool]) -> None:
    """Workers look at the deployment once a second, and a thread writes the log."""
    until = time.monotonic() + 20
    while not state():
        assert time.monotonic() < until
        time.sleep(0.1)


async def versions_of_clients(port: int, connections: int) -> list[tuple[int, int]]:
    """Ask as each client once, on many connections; return client and version."""
    clients = iter(range(CLIENTS))
    answers: list[tuple[int, int]] = []

    async def ask() -> None:
        connection = await Connection.open(port)
        for client in clients:
            status, content = await connection.post("/v1/classify", IMAGE, f"X-Client-ID: client-{client}\r\n")
            assert status == 200, content
            answers.append((client, content["model"]["version"]))
        await connection.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(ask())
    return answers


def test_a_canary_takes_ten_percent_and_keeps_its_clients(server: Server) -> None:
    """10,000 requests, each client twice, on other connections and so perhaps other workers the second time."""
    change(server, "canary", {"version": 2, "percent": 10})

    first = asyncio.run(versions_of_clients(server.port, 16))
    second = asyncio.run(versions_of_clients(server.port, 7))

    assert dict(first) == dict(second)
    shares = [version for _, version in first + second]
    assert len(shares) == 10_000
    assert 900 <= shares.count(2) <= 1_100
    (requests,) = series(server, "classifier_trial_requests_total")
    assert requests['model="lenet",role="canary",version="2"'] == shares.count(2)
    assert requests['model="lenet",role="active",version="1"'] == shares.count(1)


def test_a_shadow_is_compared_on_the_workers_that_answer(server: Server) -> None:
    """It agrees but is less sure; no client sees it."""
    change(server, "shadow", {"version": 2})

    answers = asyncio.run(versions_of_clients(server.port, 4))

    assert {version for _, version in answers} == {1}
    labels = 'model="lenet",role="shadow",version="2"'
    compared, agreed, divergence = (  # of one scrape: comparisons may still be going on
        values[labels]
        for values in series(
            server,
            "classifier_trial_compared_total",
            "classifier_trial_agreed_total",
            "classifier_trial_divergence_nats_total",
        )
    )
    assert compared > 100
    assert agreed == pytest.approx(compared, rel=0.05)
    assert 0.05 < divergence / compared < 0.5
    with server.client() as client:
        shadow = client.get("/v1/models/lenet/trial").json()["roles"]["shadow"]
    assert shadow["agreement"] == 1.0


@pytest.mark.parametrize("role", ["canary", "shadow"])
def test_what_disagrees_is_taken_out_by_its_rule(server: Server, role: str, tmp_path: Path) -> None:
    """Under load; no request fails, and once it is out nobody gets it."""
    rule: dict[str, Any] = {"version": 3, "abort": {"min_samples": 50, "min_agreement": 0.9}}

    async def until_aborted() -> None:
        async with flowing(server.port, 4, IMAGE, 1, 3) as traffic:
            with server.client() as client:
                while (plan := client.get("/v1/deployment").json()["models"]["lenet"])[role] is not None:
                    await asyncio.sleep(0.1)
        assert plan["aborted"]["version"] == 3
        assert "agrees with the active version on 0.0%" in plan["aborted"]["reason"]
        assert [
            fault for fault in traffic.faults if isinstance(fault, tuple) and fault[0] != "another version's answer"
        ] == []

    change(server, role, {**rule, "percent": 30} if role == "canary" else rule)
    asyncio.run(asyncio.wait_for(until_aborted(), 60))

    # the worker that took it out is the first that knows: the other one follows within a tick
    deployment = DeploymentFile(tmp_path / "live").read()
    assert deployment is not None
    wait_until(lambda: [peer.generation for peer in Peers(tmp_path / "live").others()] == [deployment.generation] * 2)
    assert {version for _, version in asyncio.run(versions_of_clients(server.port, 8))} == {1}
    wait_until(lambda: f"{role} version 3 is aborted" in server.log.read_text())
