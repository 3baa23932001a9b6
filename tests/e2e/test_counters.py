"""Every counter equals what was sent, with two workers, also after one was killed and another took its place."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.server import Server, require, serving
from tests.e2e.traffic import Connection
from tests.factories import shipped_digit

pytestmark = pytest.mark.e2e
CONNECTIONS = 6
EACH = 50
THRESHOLD = "?threshold=0.9995"  # which some of the digits reach and some do not


class Sent:
    """What was sent and what came back, by status, class and request."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.classes: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()  # of those that were asked for with a threshold
        self.labels: dict[str, str] = {}
        self.lost = 0

    async def send(self, port: int) -> None:
        """Good images and, of eight, a broken one, on one connection until it breaks."""
        connection = await Connection.open(port)
        for i in range(EACH):
            data = shipped_digit(i % 16)[0]
            try:
                query = THRESHOLD if i % 2 else ""
                status, content = await connection.post(f"/v1/classify{query}", data[: 40 if i % 8 == 0 else None])
            except (asyncio.IncompleteReadError, ConnectionError):
                self.lost += 1
                with contextlib.suppress(ConnectionError):  # it is broken, and is to be closed all the same
                    await connection.close()
                return
            self.statuses[status] += 1
            if status == 200:
                label = content["predictions"][0]["label"]
                self.classes[label] += 1
                self.labels[content["request_id"]] = label
                if "abstained" in content:
                    self.outcomes["abstained" if content["abstained"] else "answered"] += 1
        await connection.close()

    async def load(self, port: int) -> None:
        """Send over several connections at once, which both workers get some of."""
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(self.send(port))


class Counted:
    """What /metrics says."""

    def __init__(self, server: Server) -> None:
        with server.client() as client:
            self.text = client.get("/metrics").text
        self._samples = [s for family in text_string_to_metric_families(self.text) for s in family.samples]

    def of(self, name: str, by: str = "", **labels: str) -> dict[str, float]:
        """Sums of a metric by a label, of samples that have these labels."""
        sums: Counter[str] = Counter()
        for sample in self._samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                sums[sample.labels.get(by, "")] += sample.value  # type: ignore[assignment]
        return {key: value for key, value in sums.items() if value}


def check(server: Server, sent: Sent) -> None:
    """Compare what was counted with what was sent; statistics are a second late."""
    deadline = time.monotonic() + 5
    good, broken = sent.statuses[200], sent.statuses[422]
    while Counted(server).of("classifier_confidence_count") != {"": good} and time.monotonic() < deadline:
        time.sleep(0.1)
    counted = Counted(server)
    by_code = counted.of("classifier_http_requests_total", "code", route="/v1/classify")
    assert by_code == {"200": good, "422": broken}
    answered = counted.of("classifier_http_request_duration_seconds_count", route="/v1/classify")
    assert answered == {"": good + broken}
    assert counted.of("classifier_rejected_total", "reason", reason="truncated") == {"truncated": broken}
    assert counted.of("classifier_internal_errors_total") == counted.of("classifier_cancelled_total", "stage") == {}
    assert counted.of("classifier_requests_in_flight") == {"": 1}  # that which asks
    assert counted.of("classifier_images_total") == {"": good}
    assert counted.of("classifier_predictions_total", "class") == sent.classes
    assert counted.of("classifier_threshold_images_total", "outcome") == sent.outcomes
    assert len(sent.outcomes) == 2
    assert counted.of("classifier_batch_size_sum") == {"": good}
    assert counted.of("classifier_dispatches_total") == counted.of("classifier_batch_size_count")
    for stage in ("read", "decode", "queue", "inference", "respond"):
        assert counted.of("classifier_stage_duration_seconds_count", "stage", stage=stage) == {stage: good}
    for name in ("confidence", "margin", "entropy", "input_brightness"):
        assert counted.of(f"classifier_{name}_count") == {"": good}, name
    assert counted.of("classifier_queue_depth") == {}


def await_workers(server: Server, gone: int) -> None:
    """Wait until another worker stands in for the one that is gone."""
    deadline = time.monotonic() + 40
    while gone in server.workers() or Counted(server).of("classifier_workers") != {"": 2}:
        assert time.monotonic() < deadline
        time.sleep(0.2)


async def test_counters_equal_what_was_sent(tmp_path: Path) -> None:
    """Before and after a kill between requests; one amid requests loses at most those that were under way."""
    sent = Sent()
    with serving(tmp_path, workers=2, feedback=1) as server:
        await sent.load(server.port)
        check(server, sent)

        victim = server.workers()[0]
        os.kill(victim, signal.SIGKILL)
        await_workers(server, victim)
        check(server, sent)
        await sent.load(server.port)
        check(server, sent)

        await tell(server, sent)
        clean(Counted(server).text)

        victim = server.workers()[0]
        asyncio.get_running_loop().call_later(0.05, os.kill, victim, signal.SIGKILL)
        await sent.load(server.port)
        await_workers(server, victim)
        counted = Counted(server)
        requests = counted.of("classifier_http_requests_total", route="/v1/classify")[""]
        assert sent.statuses.total() <= requests <= sent.statuses.total() + sent.lost
        for name in ("images_total", "predictions_total", "batch_size_sum"):
            images = counted.of(f"classifier_{name}")[""]
            assert sent.statuses[200] <= images <= sent.statuses[200] + sent.lost, name
    assert sent.lost <= CONNECTIONS


async def tell(server: Server, sent: Sent) -> None:
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
    found = Counted(server).of("classifier_feedback_total", "outcome")
    assert found == {"correct": told - wrong_ones, "wrong": wrong_ones}
    with server.client() as client:
        (version,) = client.get("/v1/models/lenet/quality").json()["versions"]
    assert (version["images"], version["accuracy"]) == (told, pytest.approx(1 - wrong_ones / told))


def clean(text: str) -> None:
    """Let Prometheus' own linter look at it."""
    require("promtool")
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
