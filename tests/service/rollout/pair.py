"""Two workers of one server in this process, and what a client asks of them."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from service.settings import Settings
from service.worker import Worker
from tests.asgi import Answer, request
from tests.factories import encode, make_image

IMAGE = encode(make_image())


class Pair:
    """Workers that share a store and a state folder; the first is the one that is asked for changes."""

    def __init__(self, workers: list[Worker], store: Path) -> None:
        self.workers = workers
        self.store = store

    async def post(self, path: str, body: object = None, method: str = "POST", worker: int = 0) -> Answer:
        """Send JSON to a route below /v1/models/."""
        content = b"" if body is None else json.dumps(body).encode()
        return await request(self.workers[worker].application, method, f"/v1/models/{path}", content)

    async def version(self, worker: int, query: str = "", **headers: str) -> int:
        """The version that answers an image, which is also the class that it names."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await request(self.workers[worker].application, "POST", f"/v1/classify{query}", IMAGE, named)
        content = answer.json()
        if answer.status != 200:
            raise AssertionError(content)
        version: int = content["model"]["version"]
        assert content["predictions"][0]["class_id"] == version
        return version

    async def active(self) -> list[int]:
        """The version that each worker answers with."""
        return [await self.version(worker) for worker in range(len(self.workers))]

    async def states(self, worker: int = 0, name: str = "lenet") -> dict[int, tuple[str, str]]:
        """State and reason of every version that a worker tells of."""
        summary = (await request(self.workers[worker].application, "GET", f"/v1/models/{name}")).json()
        return {one["version"]: (one["state"], one.get("reason", "")) for one in summary["versions"]}

    async def until(self, holds: Callable[[], Any]) -> None:
        """Wait until *holds*, an awaitable or a value, is true."""
        async with asyncio.timeout(20):
            while True:
                found = holds()
                if await found if asyncio.iscoroutine(found) else found:
                    return
                await asyncio.sleep(0.02)


@asynccontextmanager
async def paired(tmp_path: Path, count: int = 2, **changes: Any) -> AsyncIterator[Pair]:
    """Started workers, with one core each, that look at their store often; `tmp_path/store` is there already."""
    folders = {"model_store": tmp_path / "store", "state_dir": tmp_path / "state"}
    workers = []
    try:
        for _ in range(count):
            own = {"metrics_dir": Path(tempfile.mkdtemp(dir=tmp_path)), "provider": "cpu", "workers": 2}
            settings = Settings(**{**folders, **own, **changes})
            worker = Worker(settings)
            workers.append(worker)
            await worker.start()
            if worker._loading is not None:
                await worker._loading
            assert worker.phase() is None, worker.phase()
        with patch("service.rollout.watch.SCAN_TICKS", 2):
            yield Pair(workers, tmp_path / "store")
    finally:
        for worker in workers:
            await worker.stop()
