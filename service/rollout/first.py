"""The deployment that a server starts with: what its state folder remembers, made to fit what the store has today.

Without memory it is the file beside the models, and for models that it does not mention their highest version.
"""

import hashlib
import logging
import os
import tempfile
from pathlib import Path

from models.errors import ModelError, ModelNotFound
from models.store import ModelStore
from service.rollout import deployment
from service.rollout.deployment import Deployment, DeploymentFile, ModelPlan
from service.settings import Settings

logger = logging.getLogger("convserve.rollout")


class UnusableFolder(ModelError):
    """The state folder cannot be made or written."""

    code = "unusable_folder"


def open_store(settings: Settings) -> ModelStore:
    """Return the store that the settings name."""
    return ModelStore(settings.model_store, settings.served_name)


def state_folder(settings: Settings) -> Path:
    """Return the folder of the live state, made and writable; raises `UnusableFolder` if it was asked for and is not.

    The default belongs to the user and to the store, so that servers of one store agree. Where nothing can be
    written, a container say, it is a temporary one, and changes last as long as the server.
    """
    if settings.state_dir is not None:
        _require_writable(settings.state_dir)
        return settings.state_dir
    store = settings.model_store.resolve()
    own = f"{store.name}-{hashlib.sha256(os.fsencode(store)).hexdigest()[:12]}"
    folder = settings.default_state_root / own
    try:
        _require_writable(folder)
    except UnusableFolder as error:
        folder = Path(tempfile.mkdtemp(prefix="convserve-state-"))
        logger.warning("%s: changes made while serving are kept in %s and forgotten at the end", error, folder)
    return folder


def initialise(file: DeploymentFile, store: ModelStore, settings: Settings) -> Deployment:
    """Bring the live deployment up to date with the store, and return it.

    Raises `ModelNotFound` or `InvalidDeployment` with one line when there is nothing to serve, or when what is to be
    served does not exist.
    """
    fallback = deployment.read(settings.model_store / deployment.FILE) or Deployment()
    return file.change(lambda live: fitted(live if live.generation else fallback, store, settings))


def fitted(live: Deployment, store: ModelStore, settings: Settings) -> Deployment:
    """Return *live* with every model of the store in it and concrete active versions."""
    names = store.names()
    if not names:
        raise ModelNotFound(f"model store {store.root}: holds no model version (NAME/VERSION/manifest.json)")
    if settings.default_model is not None and settings.default_model not in names:
        raise ModelNotFound(f"CONVSERVE_DEFAULT_MODEL={settings.default_model}: the store has {', '.join(names)}")
    plans: dict[str, ModelPlan] = {}
    for name in sorted({*names, *live.models}):
        plan = live.models.get(name, ModelPlan())
        if name in names or plan.active is not None:
            plans[name] = _fitted_plan(name, plan, store)
    default = live.default if live.default in plans else None
    if default is None and len(plans) == 1:
        default = next(iter(plans))
    return live.model_copy(update={"models": plans, "default": default})


def _fitted_plan(name: str, plan: ModelPlan, store: ModelStore) -> ModelPlan:
    versions = store.versions(name)
    if plan.active is None:
        return plan.model_copy(update={"active": versions[-1], "follow_latest": True})
    if plan.active in versions:
        return plan
    if plan.follow_latest and versions:
        logger.warning("%s version %d has left the store; version %d is active", name, plan.active, versions[-1])
        return plan.model_copy(update={"active": versions[-1], "previous": None})
    there = f"it has {', '.join(map(str, versions))}" if versions else "it has no version of it"
    raise ModelNotFound(
        f"the deployment says that {name} version {plan.active} is active, but it is not in {store.root}: {there}"
    )


def _require_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UnusableFolder(f"state folder {folder}: {error.strerror}") from error
