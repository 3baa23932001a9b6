"""A long mixed run whose memory does not grow, and names that become no metric."""

import asyncio
import json
import random
from collections import Counter
from typing import Any

from benchmarks.overload import openloop
from benchmarks.overload.client import LEFT, Answer, Request, get, post
from benchmarks.overload.faulty import faults
from benchmarks.overload.site import Target

_PARTS = 10  # after each of which the memory is looked at
_FOR_DRIFT = 500  # images, after which there is something to say of the drift
_INVENTED = 10  # names in a turn
_BESIDE = 64  # turns at a time
_METHODS = ("TRACE", "PATCH", "PURGE", "PROPFIND", "MKCOL", "LINK", "SUBSCRIBE", "ACL")  # that the parser knows


async def mixed(target: Target, *, requests: int, rate: float) -> dict[str, Any]:
    """Send valid and faulty requests; return what came, what should not have, and the growth of the second half."""
    wrong = faults(target.images[0])
    valid = target.requests()
    stream = _in_turn([fault.request for fault in wrong], valid)
    clients = target.clients(4)
    sizes, statuses, unexpected = list[int](), Counter[int](), Counter[str]()

    def check(number: int, answer: Answer) -> bool:
        if number % 2:
            name, _, expected = wrong[number // 2 % len(wrong)]
            if answer.status not in expected:
                unexpected[f"{name}: {answer.status}"] += 1
        elif answer.status != 200:
            unexpected[f"valid: {answer.status}"] += 1
        elif not target.is_right(number // 2, answer):
            unexpected["valid: wrong answer"] += 1
        return True

    for part in range(_PARTS):
        step = await openloop.run(
            [client.send for client in clients],
            stream,
            check,
            rate=rate,
            seconds=1.01 * requests / rate / _PARTS,
            seed=part,
        )
        statuses.update(one.status for one in step.records)
        sizes.append(target.rss_bytes())
    for client in clients:
        client.close()
    left = statuses.pop(LEFT, 0)
    grown = (max(sizes[_PARTS // 2 :]) - max(sizes[: _PARTS // 2])) / 2**20
    return {
        "requests": sum(statuses.values()) + left,
        "kinds_of_fault": len(wrong),
        "statuses": dict(statuses),
        "left": left,
        "unexpected": dict(unexpected),
        "rss_mib": [round(size / 2**20, 2) for size in sizes],
        "second_half_mib": round(grown, 2),
    }


def _in_turn(odd: list[Request], even: list[Request]) -> list[Request]:
    """Return one of each in turn, until both are at their beginning again."""
    return [odd[n // 2 % len(odd)] if n % 2 else even[n // 2 % len(even)] for n in range(2 * len(odd) * len(even))]


async def names(target: Target, *, requests: int) -> dict[str, Any]:
    """Invent names of every kind; return how many series of metrics there were before and after."""
    client, image, statuses = target.clients(1)[0], target.images[0], Counter[int]()

    async def turn(number: int) -> None:
        chance = random.Random(number)  # noqa: S311 (no secret)
        word, version = f"{chance.getrandbits(64):x}", chance.getrandbits(31)
        told = {"request_id": word, "label": f"label-{word}"}
        for request in (
            post(image, "/v1/classify", f"X-Client-ID: {word}", f"X-Request-ID: {word}", f"User-Agent: {word}"),
            post(json.dumps(told).encode(), "/v1/feedback", "Content-Type: application/json"),
            get(f"/{word}"),
            get(f"/v1/models/{word}"),
            post(image, f"/v1/classify?model={word}"),
            post(image, f"/v1/classify?version={version}"),
            post(image, f"/v1/classify?precision={word}"),
            post(image, f"/v1/classify?{word}={word}"),
            post(image, "/v1/classify", f"Content-Type: {word}/{word}", f"X-Priority: {word}"),
            _with_method(number, word),
        ):
            statuses[(await client.send(request)).status] += 1

    async def invent(turns: int) -> set[str]:
        numbers = iter(range(turns))

        async def one_after_the_other() -> None:
            for number in numbers:
                await turn(number)

        # many beside one another: feedback waits for a request that may not have been written down yet
        await asyncio.gather(*(one_after_the_other() for _ in range(_BESIDE)))
        return set(target.metrics())

    for _ in range(_FOR_DRIFT):
        await client.send(post(image))
    before = await invent(2 * len(_METHODS))  # the first of each status and method of a route makes its series
    after = await invent(-(-requests // _INVENTED))
    client.close()
    return {
        "requests": sum(statuses.values()),
        "statuses": dict(statuses),
        "series_before": len(before),
        "series_after": len(after),
        "new_series": sorted(after - before),
    }


def _with_method(turn: int, word: str) -> Request:
    """Return a request of a method that is none of HTTP's, or one that nobody asks for."""
    method = _METHODS[turn // 2 % len(_METHODS)] if turn % 2 else f"X{word.upper()}"
    return Request(f"{method} /v2/models/lenet/versions/{word} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
