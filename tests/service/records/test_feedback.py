"""service/records/feedback.py: labels told over HTTP, with the shipped model behind them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from service.records.store import FILE
from tests.asgi import Answer, request
from tests.factories import shipped_digit
from tests.service.conftest import StartWorker


async def classified(worker: Any, digit: int = 7) -> tuple[str, str]:
    """Classify a digit; return the request's id and the label that was found."""
    answer = await request(worker.guard, "POST", "/v1/classify", shipped_digit(digit)[0])
    return answer.json()["request_id"], answer.json()["predictions"][0]["label"]


async def tell(worker: Any, **fields: object) -> Answer:
    """POST to /v1/feedback."""
    return await request(worker.guard, "POST", "/v1/feedback", json.dumps(fields).encode())


async def metric(worker: Any, name: str) -> dict[str, float]:
    """The samples of a metric, by their labels as the text has them."""
    text = (await request(worker.guard, "GET", "/metrics")).body.decode()
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith((name + "{", name + " "))]
    return {labels.removeprefix(name): float(value) for labels, value in lines}


async def test_labels_become_figures(start_worker: StartWorker, tmp_path: Path) -> None:
    """One right, one wrong, one told twice; on /metrics and in /quality."""
    worker = await start_worker(feedback=1, state_dir=tmp_path)
    (first, right), (second, found) = await classified(worker, 7), await classified(worker, 3)
    wrong = "1" if found != "1" else "2"

    answers = [
        await tell(worker, request_id=first, label=right),
        await tell(worker, request_id=second, index=0, label=wrong),
        await tell(worker, request_id=first, label=right),
    ]

    assert [answer.status for answer in answers] == [200] * 3
    assert [(answer.json()["correct"], answer.json()["state"]) for answer in answers] == [
        (True, "new"),
        (False, "new"),
        (True, "known"),
    ]
    assert await metric(worker, "classifier_feedback_total") == {
        '{model="lenet",outcome="correct",version="1"}': 1,
        '{model="lenet",outcome="wrong",version="1"}': 1,
    }
    quality = (await request(worker.guard, "GET", "/v1/models/lenet/quality")).json()
    assert quality["recorded"] == 1
    (version,) = quality["versions"]
    assert (version["version"], version["images"], version["accuracy"]) == (1, 2, 0.5)
    assert {"label": wrong, "predicted": found, "images": 1} in version["confusion"]
    (error,) = (await metric(worker, "classifier_feedback_calibration_error")).values()
    assert error == pytest.approx(version["calibration_error"])


async def test_what_cannot_be_told_says_why(start_worker: StartWorker, tmp_path: Path) -> None:
    """Each with its status and code."""
    worker = await start_worker(feedback=1, state_dir=tmp_path)
    known, label = await classified(worker)
    await tell(worker, request_id=known, label=label)
    other = "1" if label != "1" else "2"

    for fields, status, code in (
        ({"request_id": "nobody", "label": "1"}, 404, "unknown_request"),
        ({"request_id": known, "index": 1, "label": "1"}, 404, "unknown_request"),
        ({"request_id": known, "label": "cat"}, 422, "unknown_label"),
        ({"request_id": known, "label": other}, 409, "conflict"),
        ({"request_id": known}, 422, "bad_param"),
        ({"request_id": known, "index": -1, "label": "1"}, 422, "bad_param"),
    ):
        answer = await tell(worker, **fields)
        assert (answer.status, answer.json()["code"]) == (status, code), fields
    broken = await request(worker.guard, "POST", "/v1/feedback", b"{")
    assert (broken.status, broken.json()["code"]) == (400, "bad_json")
    missing = await request(worker.guard, "GET", "/v1/models/nobody/quality")
    assert (missing.status, missing.json()["code"]) == (404, "unknown_model")


async def test_nothing_is_recorded_unless_asked_for(start_worker: StartWorker, tmp_path: Path) -> None:
    """And whoever tells a label hears so."""
    worker = await start_worker(state_dir=tmp_path)
    known, label = await classified(worker)

    answer = await tell(worker, request_id=known, label=label)

    assert (answer.status, answer.json()["code"]) == (404, "unknown_request")
    assert "CONVSERVE_FEEDBACK" in answer.json()["error"]
    assert not await asyncio.to_thread((tmp_path / FILE).exists)
    quality = (await request(worker.guard, "GET", "/v1/models/lenet/quality")).json()
    assert quality == {"name": "lenet", "recorded": 0, "versions": []}
