"""Facts about the machine and the software that figures depend on."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.load import ROOT

_LIBRARIES = ("bentoml", "uvicorn", "uvloop", "httptools", "onnxruntime", "numpy", "pillow")


def facts() -> dict[str, Any]:
    """Return processor, cores, memory, Python, libraries and the commit that was measured."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = next((line.split(":", 1)[1].strip() for line in cpuinfo.splitlines() if line.startswith("model name")), "")
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "avx512_vnni": "avx512_vnni" in cpuinfo,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "commit": commit(ROOT),
    }


def commit(tree: Path) -> str | None:
    """Return the commit of a tree, with `-dirty` when it has changes; None outside git."""
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or None
