"""service/oip: what a request says of its own importance can only make it smaller."""

import asyncio

import pytest

from tests.asgi import request
from tests.service.conftest import StartWorker
from tests.service.oip.test_infer import TENSOR, asked, prepared


@pytest.mark.parametrize(
    ("first", "second", "statuses"),
    [
        (({}, 3), ({}, 0), [503, 200]),
        (({}, 2**64 - 1), ({}, 1), [503, 200]),
        (({}, 0), ({}, 1), [200, 503]),
        (({}, 2), ({}, 1), [200, 503]),
        (({"X-Priority": "low"}, 1), ({}, 0), [503, 200]),
        (({"X-Priority": "low"}, 0), ({"X-Priority": "low"}, 1), [200, 503]),
    ],
)
async def test_a_priority_only_lowers(
    start_worker: StartWorker,
    first: tuple[dict[str, str], int],
    second: tuple[dict[str, str], int],
    statuses: list[int],
) -> None:
    """Where there is room for one, a second gets its place only if the first asked for less: 1 is no more."""
    worker = await start_worker(queue_capacity=1, max_wait_ms=100)

    answers = await asyncio.gather(
        *(
            request(worker.guard, "POST", TENSOR, asked(prepared(1), parameters={"priority": priority}), headers)
            for headers, priority in (first, second)
        )
    )

    assert [answer.status for answer in answers] == statuses
    if statuses[0] == 503:
        assert "gave its place" in answers[0].json()["error"]
