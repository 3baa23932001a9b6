"""Whether a model runs on the GPU that was asked for: tried in a process that ends, so that none is held here."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from models.errors import ModelError
from models.store import ModelStore
from service import lifecycle, session
from service.doctor.finding import Finding
from service.rollout import first
from service.settings import Provider, Settings

_WITHIN_S = 600  # TensorRT builds engines for minutes


def on_provider(settings: Settings, within_s: float = _WITHIN_S) -> Iterator[Finding]:
    """Load the first model of the store on the settings' provider and run its golden images; say why that fails."""
    store = first.open_store(settings)
    try:
        name = next(iter(store.names()))
    except (ModelError, StopIteration):
        return  # of which another examination speaks
    version = store.versions(name)[-1]
    words = [str(store.root), store.served_name or "", name, str(version), settings.provider]
    command = [sys.executable, "-m", "service.doctor.trial", *words]
    try:
        child = subprocess.run(command, capture_output=True, text=True, check=False, timeout=within_s)  # noqa: S603 (ourselves)
        fault = None if child.returncode == 0 else _said(child)
    except subprocess.TimeoutExpired:
        fault = f"nothing came back within {within_s:g} s"
    if fault is not None:
        yield Finding(
            f"provider {settings.provider}",
            f"{name} version {version} cannot run there: {fault}",
            "install the driver, CUDA and cuDNN that this ONNX Runtime wants (requirements/serve-gpu.txt brings the "
            "libraries), or set CONVSERVE_PROVIDER=auto",
        )


def _said(child: subprocess.CompletedProcess[str]) -> str:
    if child.returncode < 0:
        return f"the process was ended by signal {-child.returncode}"
    lines = child.stderr.strip().splitlines()
    return lines[-1] if lines else f"the process ended with {child.returncode}"


def _try(root: str, served_name: str, name: str, version: str, provider: str) -> None:
    """Do it; ends this process with the reason where it cannot be done."""
    try:
        file = ModelStore(Path(root), served_name or None).read(name, int(version))
        loaded = session.load(file, cast("Provider", provider), 1)
        fault = lifecycle.unproved(loaded, file, lifecycle.golden_images(loaded, file))
    except ModelError as error:
        sys.exit(str(error))
    if fault is not None:
        sys.exit(f"it fails its golden images: {fault}")


if __name__ == "__main__":
    _try(*sys.argv[1:])
