"""Bodies made of nothing but faults: refused for the first one, in little time and memory."""

import json
from collections.abc import Callable
from time import process_time
from typing import Any

import pytest

from service import images
from service.errors import BadParameter, InvalidRequest, TooManyImages
from service.http import FEW_BYTES
from service.oip import content
from tests.asgi import request
from tests.service.conftest import StartWorker

MANY = 500_000
TENSOR = {"name": "images", "datatype": "UINT8", "shape": [1]}


def keys() -> dict[str, int]:
    """Many."""
    return {f"{number:x}": 1 for number in range(MANY)}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: {"inputs": [1] * MANY}, "inputs.0: "),
        (lambda: {"inputs": [[]] * MANY}, "inputs.0: "),
        (lambda: {"inputs": [TENSOR | {"shape": ["a"] * MANY}]}, "inputs.0.shape.0: "),
        (lambda: {"inputs": [TENSOR], "outputs": [1] * MANY}, "outputs.0: "),
        (lambda: {"inputs": [TENSOR] * 65}, "inputs: List should have at most 64 items"),
        (lambda: {"inputs": [TENSOR], "outputs": [{"name": "logits"}] * 65}, "outputs: List should have at most 64"),
        (lambda: {"inputs": [{"name": "x"}] * MANY}, "more than 4,096 keys"),
        (lambda: {"inputs": []} | keys(), "more than 4,096 keys"),
        (lambda: {"inputs": [keys()]}, "more than 4,096 keys"),
        (lambda: {"inputs": [], "parameters": keys()}, "more than 4,096 keys"),
    ],
)
def test_an_inference_request_is_refused_for_its_first_fault(make: Callable[[], dict[str, Any]], says: str) -> None:
    """All faults together took ten seconds of the event loop and gigabytes."""
    data = json.dumps(make()).encode()
    started = process_time()

    with pytest.raises(InvalidRequest, match=says):
        content.read(data)

    assert process_time() - started < 0.5


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/feedback"),
        *(
            ("POST", f"/v1/models/lenet/{verb}")
            for verb in ("load", "unload", "promote", "rollback", "configure", "canary", "shadow")
        ),
        ("POST", "/v2/repository/index"),
        ("POST", "/v2/repository/models/lenet/load"),
    ],
)
async def test_a_body_of_few_fields_is_small(start_worker: StartWorker, method: str, path: str) -> None:
    """What is longer is refused, by its declared length too; what is as long is looked into."""
    worker = await start_worker()
    long = b'{"nothing": "' + b"x" * FEW_BYTES

    refused = await request(worker.guard, method, path, long + b'"}')
    declared = await request(worker.guard, method, path, b"", {"Content-Length": str(FEW_BYTES + 1)})
    looked_into = await request(worker.guard, method, path, long[: FEW_BYTES - 1] + b'"')

    assert [(answer.status, answer.json()["code"]) for answer in (refused, declared)] == [(413, "body_too_large")] * 2
    assert declared.received == 0
    assert looked_into.status == 400


@pytest.mark.parametrize("content", [[{}] * MANY, [[]] * MANY, ["aGk="] * MANY, [{"images": keys()}]])
def test_image_files_are_counted_before_they_are_parsed(content: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every object, list or text of the body would be made just to be counted."""
    monkeypatch.delattr(images, "json")

    with pytest.raises(TooManyImages, match="more than 3 images"):
        images._from_json(json.dumps({"images": content}).encode(), max_images=3)


@pytest.mark.parametrize("more", [{"model": "x"}, {str(number): 1 for number in range(9)}])
def test_of_a_body_with_a_few_commas_too_many_the_fault_is_named(more: dict[str, Any]) -> None:
    """They may be between keys."""
    with pytest.raises(BadParameter, match="the body must be"):
        images._from_json(json.dumps({"images": ["aGk="], **more}).encode(), max_images=1)
