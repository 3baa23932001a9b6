"""service/records/request_log.py: what a line says, and that files and folders stay within their limits."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from service.records import request_log
from tests.asgi import request
from tests.factories import shipped_digit
from tests.service.conftest import StartWorker

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HEADERS = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "X-Request-ID": "mine"}


async def classify(worker: Any, digit: int = 7, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """Classify a digit and return the answer."""
    answer = await request(worker.guard, "POST", "/v1/classify", shipped_digit(digit)[0], headers)
    content: dict[str, Any] = answer.json()
    return content


def lines(path: Path) -> list[dict[str, Any]]:
    """The log."""
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_a_line_says_what_was_answered_to_whom(start_worker: StartWorker, tmp_path: Path) -> None:
    """Without the image."""
    worker = await start_worker(request_log=tmp_path / "log" / "requests")
    answer = await classify(worker, headers=HEADERS)
    await worker.stop()

    (line,) = lines(tmp_path / "log" / "requests")
    best = answer["predictions"][0]
    assert line["images"] == [{"label": best["label"], "probability": pytest.approx(best["probability"], abs=1e-6)}]
    assert (line["request_id"], line["trace_id"], line["client"]) == ("mine", TRACE, "127.0.0.1")
    assert (line["model"], line["version"], line["precision"]) == ("lenet", 1, "fp32")
    assert set(line["ms"]) == {"read", "decode", "queue", "inference", "respond"}


async def test_images_are_kept_when_asked_for(start_worker: StartWorker, tmp_path: Path) -> None:
    """Byte for byte, under names that owe nothing to the client."""
    folder = tmp_path / "images"
    worker = await start_worker(request_log=tmp_path / "requests", request_log_images=folder)
    await classify(worker, 3, HEADERS)
    await worker.stop()

    (line,) = lines(tmp_path / "requests")
    assert (folder / line["images"][0]["file"]).read_bytes() == shipped_digit(3)[0]
    assert "mine" not in line["images"][0]["file"]


def test_a_full_log_is_moved_aside(tmp_path: Path) -> None:
    """In place of the last one; neither exceeds the limit, and no line is torn."""
    log = tmp_path / "requests"
    for number in range(10):
        request_log._append(log, b"%d" % number * 30 + b"\n", 100)

    assert log.read_text().splitlines() == ["9" * 30]
    assert (tmp_path / "requests.1").read_text().splitlines() == [str(number) * 30 for number in (6, 7, 8)]


def test_old_images_make_way(tmp_path: Path) -> None:
    """Until the rest fits."""
    for number in range(5):
        (tmp_path / f"{number}.png").write_bytes(bytes(10))

    request_log._make_room(tmp_path, 25)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["3.png", "4.png"]


async def test_a_part_of_the_requests_is_a_part(start_worker: StartWorker, tmp_path: Path) -> None:
    """Of none, nothing."""
    worker = await start_worker(request_log=tmp_path / "requests", request_log_share=0)
    await classify(worker)
    await worker.stop()

    assert not await asyncio.to_thread((tmp_path / "requests").exists)
