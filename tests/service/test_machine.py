"""service/machine.py and gpu.py: what the process takes, as the kernel says it."""

import asyncio
import os
from pathlib import Path

import pytest

from service import __version__, families, machine
from service.families import Family
from service.gpu import Gpu, Gpus
from service.machine import Machine
from service.metrics import Metrics


def value(metrics: Metrics, family: Family, *labels: str) -> float:
    """One number."""
    return metrics.merged()[family.name][labels][0]


def test_the_process_is_told_of() -> None:
    """Memory, time and files, near what the kernel says a moment later."""
    metrics = Metrics(())
    Machine(metrics, Gpus()).look()

    times = os.times()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert 0 < value(metrics, families.CPU_SECONDS) <= times.user + times.system + 0.02
    assert value(metrics, families.RESIDENT) == pytest.approx(resident, rel=0.1)
    assert value(metrics, families.OPEN_FILES) >= 3


def test_the_build_is_told_of() -> None:
    """The versions that answer."""
    metrics = Metrics(())
    Machine(metrics, Gpus())

    ((labels, (one,)),) = metrics.merged()[families.BUILD_INFO.name].items()
    assert (labels[0], labels[3], one) == (__version__, "1.4.39", 1)
    assert "none" not in labels


class TwoGpus(Gpus):
    """A machine with two of them."""

    def look(self) -> list[Gpu]:
        """One is busy."""
        return [Gpu(0, 0.75, 10, 100), Gpu(1, 0.0, 0, 100)]


async def test_gpus_are_told_of_where_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    """By number; and nothing where there are none."""
    monkeypatch.setattr(machine, "INTERVAL_S", 0.0)
    metrics = Metrics(())
    watched = Machine(metrics, TwoGpus())
    watched.start()
    while families.GPU_MEMORY_TOTAL.name not in metrics.merged():
        await asyncio.sleep(0)
    await watched.stop()

    assert value(metrics, families.GPU_UTILISATION, "0") == 0.75
    assert value(metrics, families.GPU_MEMORY, "0") == 10
    assert families.GPU_MEMORY.name not in Metrics(()).merged()


def test_a_machine_without_a_driver_has_no_gpu() -> None:
    """NVML is asked and says so, or lists what there is; asking again and closing twice do no harm."""
    gpus = Gpus()

    assert gpus.look() == gpus.look() or gpus.look()[0].total_bytes > 0
    gpus.close()
    gpus.close()
    assert gpus.look() == []
