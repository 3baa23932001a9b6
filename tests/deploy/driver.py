"""A stand-in for NVIDIA's driver: a `pynvml` for the served process that answers as the library does on two GPUs.

What the service makes of the answers, up to the dashboards, is its own code. One of the GPUs has no utilisation to
tell, as a part of a GPU has none, so that the service leaves it out.
"""

import os
from pathlib import Path

BUSY, USED_BYTES, TOTAL_BYTES = 0.37, 6 * 2**30, 16 * 2**30  # of the GPU that tells
_MODULE = f'''"""NVML without a driver."""

from types import SimpleNamespace


class NVMLError(Exception):
    """What the library raises."""


def nvmlInit() -> None:
    """Nothing to load."""


def nvmlShutdown() -> None:
    """Nothing to let go."""


def nvmlDeviceGetCount() -> int:
    return 2


def nvmlDeviceGetHandleByIndex(index: int) -> int:
    return index


def nvmlDeviceGetMemoryInfo(handle: int) -> SimpleNamespace:
    return SimpleNamespace(used={USED_BYTES}, total={TOTAL_BYTES}, free={TOTAL_BYTES - USED_BYTES})


def nvmlDeviceGetUtilizationRates(handle: int) -> SimpleNamespace:
    if handle == 1:
        raise NVMLError("Not Supported")
    return SimpleNamespace(gpu={round(100 * BUSY)}, memory=20)  # per cent
'''


def stand_in(folder: Path) -> tuple[str, ...]:
    """The words before a command that make it find the stand-in, which is written to *folder*, before the library."""
    folder.mkdir()
    (folder / "pynvml.py").write_text(_MODULE)
    return "env", f"PYTHONPATH={os.pathsep.join(filter(None, (str(folder), os.environ.get('PYTHONPATH'))))}"
