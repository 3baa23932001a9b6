"""What a run is computed on, as Lightning's Trainer wants it told, and as it is written down in the run's folder."""

import datetime as dt
import os
import platform
from typing import Any

import torch

from training import provenance
from training.config import Hardware, Precision
from training.errors import InvalidOption

MIXED = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
MOST_WORKERS = 8  # processes that prepare images


def on_gpu(hardware: Hardware) -> bool:
    """Return whether a GPU is used; raises `InvalidOption` if one is asked for and there is none."""
    if hardware.accelerator == "gpu" and not torch.cuda.is_available():
        raise InvalidOption("accelerator gpu: torch finds no CUDA device here")
    return hardware.accelerator != "cpu" and torch.cuda.is_available()


def arithmetic(hardware: Hardware, precision: Precision) -> str:
    """Return the precision in Lightning's words; `auto` is bfloat16 where the GPU has it, else fp16, fp32 on a CPU."""
    gpu = on_gpu(hardware)
    if precision == "fp16" and not gpu:
        raise InvalidOption("precision fp16: needs a GPU; a CPU has fp32 and bf16")
    if precision == "auto":
        precision = ("bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16") if gpu else "fp32"
    return MIXED[precision]


def devices(hardware: Hardware) -> int | str:
    """Return the number of devices, or `auto`; raises `InvalidOption` for anything else or more than there are."""
    if hardware.devices == "auto":
        return "auto"
    if not hardware.devices.isdecimal() or int(hardware.devices) < 1:
        raise InvalidOption(f"devices {hardware.devices!r}: a number from 1, or auto")
    count = int(hardware.devices)
    if on_gpu(hardware) and count > torch.cuda.device_count():
        raise InvalidOption(f"devices {count}: there are {torch.cuda.device_count()} GPUs here")
    return count


def workers(hardware: Hardware) -> int:
    """Return the number of processes that prepare images: none where the CPU's cores are busy with training itself."""
    if hardware.workers is not None:
        return hardware.workers
    cores = len(os.sched_getaffinity(0))
    return min(MOST_WORKERS, max(0, cores - 1)) if on_gpu(hardware) else 0


def environment(world_size: int, arithmetic: str) -> dict[str, Any]:
    """Return where and with what a run is started now."""
    return {
        "started": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "git_commit": provenance.git_commit(),
        "libraries": provenance.library_versions(),
        "platform": platform.platform(),
        "cpu_cores": len(os.sched_getaffinity(0)),
        "torch_threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "processes": world_size,
        "precision": arithmetic,
    }
