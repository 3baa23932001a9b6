"""The NVIDIA GPUs that this process can see, through their management library (NVML). Without one there are none."""

import logging
from typing import NamedTuple

import pynvml

logger = logging.getLogger("convserve.gpu")


class Gpu(NamedTuple):
    """How busy a GPU is, with whomever's work, and its memory."""

    number: int
    utilisation: float  # part of the last interval, 0 to 1
    used_bytes: int
    total_bytes: int


class Gpus:
    """The library, loaded when it is looked for first."""

    def __init__(self) -> None:
        self._count: int | None = None

    def look(self) -> list[Gpu]:
        """Return how the GPUs do now; a GPU that does not say is left out. Takes milliseconds."""
        if self._count is None:
            self._count = self._open()
        found = []
        for index in range(self._count):
            try:
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
                busy = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
            except pynvml.NVMLError:  # as of a part of a GPU, which has no utilisation
                continue
            found.append(Gpu(index, busy, int(memory.used), int(memory.total)))
        return found

    def close(self) -> None:
        """Let the library go."""
        if self._count:
            pynvml.nvmlShutdown()
        self._count = 0

    def _open(self) -> int:
        try:
            pynvml.nvmlInit()
            return int(pynvml.nvmlDeviceGetCount())
        except pynvml.NVMLError as error:  # no driver, no library
            logger.debug("no GPU to look at: %s", error)
            return 0
