"""service/app.py: what it tells about itself: models, health, metrics."""

import pytest

from service import logs
from tests.asgi import request
from tests.factories import shipped_digit
from tests.service.conftest import StartWorker


async def test_models_are_listed_and_described(start_worker: StartWorker) -> None:
    """With quality, labels, spec and where they run."""
    worker = await start_worker()

    listed = (await request(worker.guard, "GET", "/v1/models")).json()["models"]
    described = (await request(worker.guard, "GET", "/v1/models/lenet")).json()
    missing = await request(worker.guard, "GET", "/v1/models/vgg")

    assert [model["name"] for model in listed] == ["lenet"]
    assert listed[0]["provider"] == "cpu"
    assert set(listed[0]["nodes"]) == {"CPUExecutionProvider"}
    assert described["labels"] == list("0123456789")
    assert described["spec"]["geometry"]["height"] == 28
    assert 0.9 < described["quality"]["top1"] <= 1
    assert (missing.status, missing.json()["code"]) == (404, "unknown_model")


async def test_health_follows_the_worker(start_worker: StartWorker) -> None:
    """Alive from the start, ready when loaded, not ready when stopped."""
    worker = await start_worker()
    assert (await request(worker.guard, "GET", "/livez")).status == 200
    assert (await request(worker.guard, "GET", "/readyz")).json() == {"ready": True}

    await worker.stop()

    stopped = await request(worker.guard, "GET", "/readyz")
    assert (stopped.status, stopped.json()["code"]) == (503, "not_ready")
    late = await request(worker.guard, "POST", "/v1/classify", shipped_digit()[0])
    assert (late.status, late.json()["code"]) == (503, "not_ready")


async def test_a_worker_that_cannot_load_says_why(start_worker: StartWorker) -> None:
    """Not ready, alive, with the reason in the answer."""
    worker = await start_worker(model_store="/nowhere")

    answer = await request(worker.guard, "GET", "/readyz")

    assert answer.status == 503
    assert "no such folder" in answer.json()["error"]
    assert (await request(worker.guard, "GET", "/livez")).status == 200


async def test_probes_that_are_told_to_wait_are_not_in_the_log(
    start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever starts a server asks until it is ready; other refusals are logged."""
    worker = await start_worker(model_store="/nowhere")
    lines: list[str] = []
    monkeypatch.setattr(logs.refusal_logger, "info", lambda _, code, **_fields: lines.append(code))

    assert (await request(worker.guard, "GET", "/readyz")).status == 503
    assert lines == []

    assert (await request(worker.guard, "POST", "/v1/classify", shipped_digit()[0])).status == 503
    assert lines == ["not_ready"]


async def test_metrics_count_what_was_answered(start_worker: StartWorker) -> None:
    """Requests by route and code, each stage once a request, the model by name."""
    worker = await start_worker()
    for i in range(5):
        await request(worker.guard, "POST", "/v1/classify", shipped_digit(i)[0])
    await request(worker.guard, "POST", "/v1/classify", b"nothing")

    answer = await request(worker.guard, "GET", "/metrics")

    text = answer.body.decode()
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'classifier_http_requests_total{code="200",method="POST",route="/v1/classify"} 5.0' in text
    assert 'classifier_http_requests_total{code="422",method="POST",route="/v1/classify"} 1.0' in text
    assert 'classifier_http_request_duration_seconds_count{route="/v1/classify"} 6.0' in text
    for stage in ("read", "decode", "queue", "inference", "respond"):
        assert f'classifier_stage_duration_seconds_count{{stage="{stage}"}} 5.0' in text
    assert 'classifier_model_info{model="lenet",precision="fp32",provider="cpu"' in text
    assert "classifier_ready 1.0" in text
    assert "classifier_requests_in_flight 1.0" in text  # this one
