"""What this worker takes of the machine: processor time, memory, open files; and what its GPUs do, where there are any.

Each worker writes its own numbers, once a second, so that those of all can be added, and those of the dead are kept.
"""

import asyncio
import os
import platform
import resource
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from service import __version__, families
from service.gpu import Gpus
from service.metrics import Metrics

INTERVAL_S: Final = 1.0
_GPU_TURNS: Final = 5  # seconds between looks at the GPUs
_STATM: Final = Path("/proc/self/statm")
_OPEN: Final = Path("/proc/self/fd")
_RUNTIMES: Final = ("onnxruntime", "onnxruntime-gpu")


class Machine:
    """Writes the numbers as long as it runs."""

    def __init__(self, metrics: Metrics, gpus: Gpus) -> None:
        self._metrics = metrics
        self._gpus = gpus
        self._cpu = metrics.series(families.CPU_SECONDS)
        self._resident = metrics.series(families.RESIDENT)
        self._open = metrics.series(families.OPEN_FILES)
        self._task: asyncio.Task[None] | None = None
        metrics.series(families.BUILD_INFO, *_build()).set(1)

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Write the numbers once more, and end."""
        if self._task is not None:
            self._task.cancel()
            self.look()
        await asyncio.to_thread(self._gpus.close)

    def look(self) -> None:
        """Write what this process has taken."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        self._cpu.set(used.ru_utime + used.ru_stime)
        self._resident.set(int(_STATM.read_text().split()[1]) * resource.getpagesize())
        self._open.set(len(os.listdir(_OPEN)))  # noqa: PTH208 (a path object for each would open files of its own)

    async def _run(self) -> None:
        turn = 0
        while True:
            self.look()
            if turn % _GPU_TURNS == 0:
                await asyncio.to_thread(self._look_at_gpus)
            turn += 1
            await asyncio.sleep(INTERVAL_S)

    def _look_at_gpus(self) -> None:
        for gpu in self._gpus.look():
            for family, value in (
                (families.GPU_UTILISATION, gpu.utilisation),
                (families.GPU_MEMORY, gpu.used_bytes),
                (families.GPU_MEMORY_TOTAL, gpu.total_bytes),
            ):
                self._metrics.series(family, str(gpu.number)).set(value)


def _build() -> tuple[str, str, str, str]:
    return __version__, platform.python_version(), _version(*_RUNTIMES), _version("bentoml")


def _version(*packages: str) -> str:
    for package in packages:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return "none"
