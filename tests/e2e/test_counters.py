"""Every counter equals what was sent, with two workers, also after one was killed and another took its place."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from service.families import STAGES
from tests.e2e.counted import CONNECTIONS, Counted, Sent
from tests.e2e.server import Server, serving
from tests.e2e.traffic import Connection
from tests.stores import make_store

pytestmark = pytest.mark.e2e
ROUTE = "/v1/classify"
PIXELS = 8 * 8  # of a digit as it is sent
OF_A_CLOCK = "classifier_process_cpu_seconds"  # counts, but nothing that is sent
OF_TRIALS = ("requests", "request_duration_seconds", "images", "errors", "compared", "agreed", "divergence_nats")


def expected(
    sent: Sent, workers: int, told: dict[str, float], early: dict[str, float]
) -> dict[str, tuple[str, dict[str, float]]]:
    """Every counter and histogram: the label that it is compared by and its sums, without those of 0.

    *workers* is how many have been started, *told* the labels that were told, by outcome, and *early* the looks at
    `/readyz` that came before it was ready.
    """
    good, broken = sent.statuses[200], sent.statuses[422]
    images: dict[str, float] = {"": good}
    none: dict[str, float] = {}
    return {
        "classifier_http_requests": ("code", {"200": good, "422": broken}),
        "classifier_http_request_duration_seconds": ("", {"": good + broken}),
        "classifier_stage_duration_seconds": ("stage", dict.fromkeys(STAGES, float(good))),
        "classifier_rejected": ("reason", {"truncated": broken, **early}),
        "classifier_internal_errors": ("stage", none),
        "classifier_cancelled": ("stage", none),
        "classifier_images": ("", images),
        "classifier_model_loads": ("outcome", {"loaded": workers}),
        "classifier_cache_images": ("result", none),
        **{f"classifier_trial_{name}": ("role", none) for name in (*OF_TRIALS, "skipped")},
        "classifier_input_pixels": ("", {"": good + broken}),  # the header of a broken one tells its size
        "classifier_predictions": ("class", dict(sent.classes)),
        **{f"classifier_{name}": ("", images) for name in ("confidence", "margin", "entropy", "input_brightness")},
        "classifier_threshold_images": ("outcome", dict(sent.outcomes)),
        "classifier_feedback": ("outcome", told),
        "classifier_records_dropped": ("record", none),
    }


def check(server: Server, sent: Sent, workers: int, told: dict[str, float] | None = None) -> None:
    """Compare all that was counted with what was sent; statistics are a second late."""
    good, broken = sent.statuses[200], sent.statuses[422]
    wait_until(lambda: Counted(server).of("classifier_confidence_count") == {"": good})
    counted = Counted(server)
    unready = counted.count("classifier_http_requests", route="/readyz", code="503")
    compared = expected(sent, workers, told or {}, {"not_ready": unready[""]} if unready else {})
    of_batches = {"classifier_batch_size", "classifier_dispatches"}  # whose number is for the service to choose
    assert counted.counters | counted.histograms == {*compared, *of_batches, OF_A_CLOCK}
    for name, (by, sums) in compared.items():
        route = {"route": ROUTE} if "_http_" in name else {}
        assert counted.count(name, by, **route) == sums, name
    assert counted.of("classifier_batch_size_sum") == {"": good}
    assert counted.count("classifier_dispatches") == counted.count("classifier_batch_size")
    assert counted.count(OF_A_CLOCK)[""] > 0
    assert counted.of("classifier_input_pixels_sum") == {"": PIXELS * (good + broken)}
    assert counted.of("classifier_confidence_sum")[""] == pytest.approx(sent.confidence, rel=1e-4)
    assert counted.of("classifier_margin_sum")[""] == pytest.approx(sent.margin, rel=1e-4)
    for name in counted.histograms:
        assert counted.of(f"{name}_bucket", le="+Inf") == counted.count(name), name
    by_route = counted.count("classifier_http_requests", "route")
    assert by_route == counted.count("classifier_http_request_duration_seconds", "route")
    others = {"/v1/feedback", "/v1/models/{name}/quality"} if told else set()
    assert set(by_route) == {ROUTE, "/metrics", "/readyz", *others}
    assert counted.of("classifier_requests_in_flight") == {"": 1}  # that which asks
    assert counted.of("classifier_queue_depth") == {}
    assert counted.of("classifier_workers") == counted.of("classifier_workers_wanted") == {"": 2}


def wait_until(state: Callable[[], bool], within_s: float = 5) -> None:
    """Wait for it; what comes after says what is wrong if it has not come."""
    deadline = time.monotonic() + within_s
    while not state() and time.monotonic() < deadline:
        time.sleep(0.1)


def replace_one(server: Server) -> None:
    """Kill a worker and wait until another stands in for it."""
    victim = server.workers()[0]
    os.kill(victim, signal.SIGKILL)
    await_workers(server, victim)


def await_workers(server: Server, gone: int) -> None:
    """Wait until another worker stands in for the one that is gone, and is ready."""

    def stands_in() -> bool:
        counted, workers = Counted(server), server.workers()
        found = counted.of("classifier_workers"), counted.of("classifier_ready")
        return len(workers) == 2 and gone not in workers and found == ({"": 2}, {"": 1})

    wait_until(stands_in, within_s=40)
    assert stands_in()


async def test_counters_equal_what_was_sent(tmp_path: Path) -> None:
    """Before and after a kill between requests; one amid requests loses at most those that were under way."""
    sent = Sent()
    with serving(tmp_path, workers=2, feedback=1) as server:
        await sent.load(server.port)
        assert len(sent.outcomes) == 2
        check(server, sent, workers=2)

        replace_one(server)
        check(server, sent, workers=3)
        await sent.load(server.port)
        check(server, sent, workers=3)

        told = await tell(server, sent)
        check(server, sent, workers=3, told=told)
        Counted(server).check_form()

        victim = server.workers()[0]
        asyncio.get_running_loop().call_later(0.05, os.kill, victim, signal.SIGKILL)
        await sent.load(server.port)
        await_workers(server, victim)
        counted = Counted(server)
        requests = counted.count("classifier_http_requests", route=ROUTE)[""]
        assert sent.statuses.total() <= requests <= sent.statuses.total() + sent.lost
        for name in ("images_total", "predictions_total", "batch_size_sum"):
            images = counted.of(f"classifier_{name}")[""]
            assert sent.statuses[200] <= images <= sent.statuses[200] + sent.lost, name
    assert sent.lost <= CONNECTIONS


async def tell(server: Server, sent: Sent) -> dict[str, float]:
    """Tell every label, each over a connection of its own: half of them reach the worker that did not answer."""
    for number, (request_id, label) in enumerate(sent.labels.items()):
        wrong = number % 4 == 0
        other = str((int(label) + wrong) % 10)
        connection = await Connection.open(server.port)
        body = f'{{"request_id": "{request_id}", "label": "{other}"}}'.encode()
        status, content = await connection.post("/v1/feedback", body)
        await connection.close()
        assert (status, content.get("correct")) == (200, not wrong), content
    told = len(sent.labels)
    wrong_ones = (told + 3) // 4
    with server.client() as client:
        (version,) = client.get("/v1/models/lenet/quality").json()["versions"]
    assert (version["images"], version["accuracy"]) == (told, pytest.approx(1 - wrong_ones / told))
    return {"correct": told - wrong_ones, "wrong": wrong_ones}


async def test_the_cache_counts_what_was_sent(tmp_path: Path) -> None:
    """An image is a hit, shared or a miss, and run only if it is a miss; a new worker begins with an empty cache."""
    sent = Sent(broken=False)
    with serving(tmp_path, workers=2, cache_entries=100) as server:
        for killed in (False, True):
            if killed:
                replace_one(server)
            await sent.load(server.port)
            good = sent.statuses[200]
            counted = Counted(server)
            results = counted.count("classifier_cache_images", "result")
            assert sum(results.values()) == good == counted.count("classifier_http_requests", route=ROUTE)[""]
            assert set(results) <= {"hit", "shared", "miss"}
            assert results["hit"] > 0
            assert counted.count("classifier_images") == {"": results["miss"]}
    assert sent.lost == 0


async def test_a_canary_counts_what_was_sent(tmp_path: Path) -> None:
    """By role as clients saw the versions; each image of the canary is compared once, which runs it once more."""
    sent = Sent(broken=False)
    with serving(tmp_path, workers=2, model_store=make_store(tmp_path / "store", 2)) as server:
        with server.client() as client:
            answer = client.post("/v1/models/lenet/canary", json={"version": 1, "percent": 30})
            assert answer.status_code == 200, answer.text
        for killed in (False, True):
            if killed:
                replace_one(server)
            await sent.load(server.port)
            roles = {"active": sent.versions["2"], "canary": sent.versions["1"]}
            assert min(roles.values()) > 0
            canary = {"canary": roles["canary"]}
            wait_until(lambda: Counted(server).count("classifier_trial_compared", "role") == canary)  # noqa: B023
            counted = Counted(server)
            for name in ("requests", "request_duration_seconds", "images"):
                assert counted.count(f"classifier_trial_{name}", "role") == roles, name
            assert counted.count("classifier_trial_compared", "role") == canary
            for name in ("errors", "skipped", "agreed"):  # the versions have favourites of their own
                assert counted.count(f"classifier_trial_{name}", "role") == {}, name
            assert counted.count("classifier_trial_divergence_nats", "role")["canary"] > 0
            assert counted.count("classifier_images", "version") == {"1": roles["canary"], "2": sum(roles.values())}
