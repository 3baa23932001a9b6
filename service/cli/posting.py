"""Posts image files to a running service over several connections, patiently: what may pass is tried again."""

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from service.cli.client import Service, refusal, unreachable

_OF_THE_IMAGE = frozenset({"unidentified", "truncated", "too_many_pixels", "media_type", "body_too_large"})
_MAY_PASS = frozenset({429, 500, 502, 503, 504})
_TRIES = 6
_TIMEOUT_S = 60.0
Answer = dict[str, Any]


class Stopped(Exception):
    """Going on would only fail again; the text is one line."""


async def classify_all(
    service: Service,
    query: Mapping[str, str],
    files: Iterable[Path],
    connections: int,
    take: Callable[[Path, Answer], None],
) -> None:
    """Classify *files* and give each answer to *take* as it comes: `model` and `predictions`, or `error` and `code`.

    Raises `Stopped` when the service cannot be reached, or refuses for a reason that is not an image's.
    """
    waiting = iter(files)
    limits = httpx.Limits(max_connections=connections)
    async with httpx.AsyncClient(timeout=_TIMEOUT_S, limits=limits, **service.options) as client:
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(connections):
                    tasks.create_task(_work(client, query, waiting, take))
        except* Stopped as stopped:
            raise stopped.exceptions[0] from None


async def _work(
    client: httpx.AsyncClient,
    query: Mapping[str, str],
    waiting: Iterator[Path],
    take: Callable[[Path, Answer], None],
) -> None:
    for path in waiting:
        try:
            content = path.read_bytes()
        except OSError as error:
            take(path, {"error": f"cannot be read: {error.strerror}", "code": "unreadable"})
            continue
        take(path, await _classify(client, query, content))


async def _classify(client: httpx.AsyncClient, query: Mapping[str, str], content: bytes) -> Answer:
    trouble, pause_s = "", 0.0
    for attempt in range(_TRIES):
        # spread out, so that connections that were refused together do not come again together
        await asyncio.sleep(pause_s * random.uniform(1, 1.5))  # noqa: S311 (no secret)
        try:
            answer = await client.post("/v1/classify", params=query, content=content)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            trouble, pause_s = unreachable(str(client.base_url), error), 0.25 * 2**attempt
            continue
        if answer.status_code == httpx.codes.OK:
            said = answer.json()
            return {key: value for key, value in said.items() if key != "request_id"}
        trouble = refusal(answer)
        if answer.status_code in _MAY_PASS:
            asked = answer.headers.get("retry-after", "")
            pause_s = max(float(asked) if asked.isdigit() else 0.0, 0.25 * 2**attempt)
            continue
        if answer.status_code in {413, 415, 422} and answer.json().get("code") in _OF_THE_IMAGE:
            return {key: answer.json()[key] for key in ("error", "code")}
        break
    raise Stopped(trouble)
