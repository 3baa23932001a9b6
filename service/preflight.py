"""What is checked before the start, once, in the parent: a worker that fails is started again for ever."""

import subprocess
import sys
from pathlib import Path

from models.errors import ModelError
from service import lifecycle, session
from service.lifecycle import Choice
from service.rollout import first, precisions
from service.rollout.deployment import DeploymentFile
from service.session import ProviderUnavailable
from service.settings import InvalidSettings, Settings, read_settings


def check(settings: Settings) -> Path:
    """Load every active version, let it go again, and return the state folder; raises the `ModelError` that refuses.

    Where a GPU may be taken, the work is done in a process that ends, so that this one never holds a device.
    """
    folder = first.state_folder(settings)
    first.initialise(DeploymentFile(folder), first.open_store(settings), settings)
    if settings.provider == "cpu" or not session.has_gpu_build():
        _load_active(settings, folder)
        return folder
    command = [sys.executable, "-m", "service.preflight", str(folder)]
    child = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (ourselves)
    if child.returncode != 0:
        lines = child.stderr.strip().splitlines()
        raise ProviderUnavailable(lines[-1] if lines else f"the check of the models ended with {child.returncode}")
    return folder


def _load_active(settings: Settings, folder: Path) -> None:
    store = first.open_store(settings)
    deployment = first.initialise(DeploymentFile(folder), store, settings)
    for name, plan in deployment.models.items():
        if plan.loaded and plan.active is not None:
            precision = precisions.resolve(store, (name, plan.active), plan, settings, folder)
            lifecycle.load(store, Choice(name, plan.active, precision), settings, plan.device)


if __name__ == "__main__":
    try:
        _load_active(read_settings(), Path(sys.argv[1]))
    except (ModelError, InvalidSettings) as error:
        sys.exit(str(error))
