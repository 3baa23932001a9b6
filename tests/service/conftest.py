"""A worker in this process, with the shipped model, for tests of the routes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from service.settings import Settings
from service.worker import Worker

StartWorker = Callable[..., Awaitable[Worker]]


@asynccontextmanager
async def _started(metrics_dir: Path, changes: dict[str, Any]) -> AsyncIterator[Worker]:
    folders = {"metrics_dir": metrics_dir, "state_dir": metrics_dir.with_name("state")}
    worker = Worker(Settings(**{**folders, "provider": "cpu", **changes}))
    await worker.start()
    if worker._loading is not None:
        await worker._loading
    try:
        yield worker
    finally:
        await worker.stop()


@pytest.fixture
async def start_worker(tmp_path: Path) -> AsyncIterator[StartWorker]:
    """Start workers with settings of the test's; each is loaded when the call returns."""
    async with AsyncExitStack() as stack:

        async def start(**changes: Any) -> Worker:
            return await stack.enter_async_context(_started(tmp_path / "metrics", changes))

        yield start
