"""What can be wrong around the models: settings, packages, the GPU, folders."""

import ctypes
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import distributions
from pathlib import Path

from models.errors import ModelError
from service import session
from service.access import checks
from service.doctor.finding import Finding
from service.rollout import deployment, first
from service.settings import InvalidSettings, Settings

_BUILDS = {"onnxruntime", "onnxruntime-gpu"}
_DEVICES = Path("/dev")


def packages(path: Sequence[str] | None = None) -> Iterator[Finding]:
    """Look for both builds of ONNX Runtime, which share one import name; *path* is where, None for Python's."""
    found = distributions() if path is None else distributions(path=list(path))
    names = {(one.metadata["Name"] or "").lower().replace("_", "-") for one in found}
    if names >= _BUILDS:
        yield Finding(
            "onnxruntime",
            "onnxruntime and onnxruntime-gpu are both installed; they overwrite each other's files, and which of them "
            "runs is chance",
            "pip uninstall --yes onnxruntime onnxruntime-gpu, then install requirements/serve-cpu.txt or -gpu.txt",
        )


def gpu(settings: Settings) -> Iterator[Finding]:
    """Look whether a GPU that was asked for can be had at all, and if not, what is missing."""
    if settings.provider in {"auto", "cpu"}:
        return
    where = f"provider {settings.provider}"
    if not session.has_provider(settings.provider):
        yield Finding(
            where,
            f"the installed ONNX Runtime was built without {settings.provider}",
            "install requirements/serve-gpu.txt in place of serve-cpu.txt, or set CONVSERVE_PROVIDER=auto",
        )
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        yield Finding(
            where,
            "libcuda.so.1 cannot be loaded: there is no NVIDIA driver here",
            "install the driver; in a container, the NVIDIA container toolkit brings it in (docker run --gpus all)",
        )
    if not list(_DEVICES.glob("nvidia[0-9]*")):
        yield Finding(
            where,
            "there is no /dev/nvidia0: no NVIDIA device is visible here",
            "docker run --gpus all, or a pod that asks for nvidia.com/gpu; else the machine has none",
        )


def access(settings: Settings) -> Iterator[Finding]:
    """Look at keys, certificates and the metrics port."""
    try:
        checks.check(settings)
    except InvalidSettings as error:
        yield Finding("access", str(error), "mend the file or the setting that is named")


def folders(settings: Settings) -> Iterator[Finding]:
    """Look whether the folders that are written to can be, and whether the deployment fits the store."""
    for setting, folder in (("STATE_DIR", settings.state_dir), ("METRICS_DIR", settings.metrics_dir)):
        if folder is not None and (fault := _unwritable(folder)):
            yield Finding(
                f"CONVSERVE_{setting}",
                f"{folder} cannot be written: {fault}",
                "make it belong to the user that serves, or mount something writable there",
            )
    try:
        live = None if settings.state_dir is None else deployment.DeploymentFile(settings.state_dir).read()
        fallback = deployment.read(settings.model_store / deployment.FILE) or deployment.Deployment()
        first.fitted(live or fallback, first.open_store(settings), settings)
    except ModelError as error:
        yield Finding("deployment", str(error), "mend what is named, or put the missing version into the store")


def _unwritable(folder: Path) -> str | None:
    """Return why nothing can be written into *folder*, or into the nearest one above it while it does not exist."""
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not there.is_dir():
        return f"{there} is no folder"
    try:
        with tempfile.TemporaryFile(dir=there):
            return None
    except OSError as error:
        return error.strerror
