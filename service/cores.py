"""How many cores this process may use: what the scheduler allows, or less where a container's limit says so.

Container engines and Kubernetes limit processor time by quota (`--cpus 1`, `limits.cpu`), which leaves every core of
the host visible. Threads for all of them would be stopped by the kernel for most of each period.
"""

import math
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def usable(root: Path = CGROUPS, membership: Path = MEMBERSHIP) -> int:
    """Return the number of cores, at least 1; a quota of 1.5 cores counts as 2."""
    return max(1, math.ceil(min([len(os.sched_getaffinity(0)), *_quotas(root, membership)])))


def _quotas(root: Path, membership: Path) -> list[float]:
    """Return the limits in cores of this process' control group and of those around it."""
    found: list[float] = []
    for line in _read(membership).splitlines():
        number, controllers, path = line.split(":", 2)
        v2 = number == "0" and not controllers
        if not v2 and "cpu" not in controllers.split(","):
            continue
        top = root if v2 else root / "cpu"
        group = top / path.lstrip("/")
        # inside of a container the path may be the host's, and what is mounted at the top is the group itself
        folders = {group, top, *(folder for folder in group.parents if top in folder.parents)}
        found += [_quota(folder) if v2 else _quota_v1(folder) for folder in folders]
    return found


def _quota(folder: Path) -> float:
    """Return the limit of cgroup v2: `cpu.max` holds quota and period in µs, or `max` (Documentation/admin-guide)."""
    match _read(folder / "cpu.max").split():
        case [quota, period] if quota.isdigit():
            return int(quota) / int(period)
        case _:
            return math.inf


def _quota_v1(folder: Path) -> float:
    """Return the limit of cgroup v1; a quota of -1 is none."""
    quota, period = (_read(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else math.inf


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
