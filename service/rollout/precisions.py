"""Which precision a version is served in: the planned one, or, for `auto`, the fastest that passed its gate.

What `auto` measured is written down, so that all workers of a server, and its next start, take the same.
"""

import json
import logging
from pathlib import Path
from typing import get_args

from models.errors import ModelError
from models.store import ModelStore, Precision
from service import lifecycle
from service.lifecycle import Choice
from service.rollout import shared_file
from service.rollout.deployment import ModelPlan
from service.settings import Settings

logger = logging.getLogger("convserve.rollout")
_FILE, _LOCK = "precisions.json", "precisions.lock"


def resolve(store: ModelStore, model: tuple[str, int], plan: ModelPlan, settings: Settings, folder: Path) -> Precision:
    """Return the precision of a version as *plan* wants it; takes as long as loading every admitted one when new.

    Raises a `ModelError` when no precision of it can be loaded.
    """
    if plan.precision != "auto":
        return plan.precision
    name, version = model
    provider = plan.device or settings.provider
    manifest = store.manifest(name, version)
    digests = sorted(file.sha256[:16] for file in manifest.files.values())
    key = f"{name}/{version}/{provider}/{'-'.join(digests)}"
    with shared_file.locked(folder / _LOCK):  # the workers that come second read what the first has measured
        known = _read(folder / _FILE)
        if key not in known:
            known = {old: value for old, value in known.items() if not old.startswith(f"{name}/{version}/{provider}/")}
            known[key] = _fastest(store, name, version, plan, settings)
            _write(folder / _FILE, known)
        return known[key]


def _read(path: Path) -> dict[str, Precision]:
    """Return what was measured; nothing if that cannot be read, as it is only measured again then."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        logger.warning("%s cannot be read, precisions are measured again: %s", path, error)
        return {}
    if not isinstance(content, dict):
        return {}
    return {key: value for key, value in content.items() if value in get_args(Precision)}


def _write(path: Path, known: dict[str, Precision]) -> None:
    """Write down what was measured; where that fails, as on a full disk, others measure again."""
    try:
        shared_file.replace(path, json.dumps(known, indent=2))
    except OSError as error:
        logger.warning("%s cannot be written, others measure precisions again: %s", path, error)


def _fastest(store: ModelStore, name: str, version: int, plan: ModelPlan, settings: Settings) -> Precision:
    """Load each admitted precision in turn and time it."""
    times: dict[Precision, float] = {}
    refused: list[ModelError] = []
    for precision, rung in store.manifest(name, version).ladder.items():
        if not rung.admitted:
            continue
        try:
            loaded = lifecycle.load(store, Choice(name, version, precision), settings, plan.device)
        except ModelError as error:
            refused.append(error)
            continue
        times[precision] = lifecycle.batch_s(loaded.session)
        loaded.session.close()
    if not times:
        raise refused[0]
    fastest = min(times, key=times.__getitem__)
    measured = ", ".join(f"{precision} {seconds * 1e3:.2f} ms" for precision, seconds in times.items())
    logger.info("%s version %d: a batch of 32 takes %s; %s is taken", name, version, measured, fastest)
    return fastest
