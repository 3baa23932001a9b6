"""How a version in the store becomes a session that may answer: read, verified, loaded, proved, warmed.

The same steps run before the start, to refuse it with one line, and in each worker.
"""

import subprocess
import sys
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from models.errors import InvalidModelFile, ModelError, ModelNotFound
from models.preprocess import OPTIONAL_FORMATS, DecodeLimits, preprocess
from models.store import ModelFile, ModelStore, Precision
from service import session
from service.session import ProviderUnavailable, Session
from service.settings import InvalidSettings, Settings, read_settings

LIGHT_BYTES = 16 * 2**20  # a larger model file is not even tried for being light
LIGHT_S = 0.002  # for a batch of 32
_GOLDEN_LIMITS = DecodeLimits(formats=DecodeLimits().formats | OPTIONAL_FORMATS)


@dataclass(frozen=True, slots=True)
class Choice:
    """One model that is to be served."""

    name: str
    version: int
    precision: Precision = "fp32"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A proved session and what it was made from; the file's bytes are not kept."""

    session: Session
    precision: Precision
    sha256: str
    light: bool  # a batch takes so little that handing work to other threads costs more than it wins
    load_s: float


def choose(store: ModelStore) -> list[Choice]:
    """Return what the store offers: the highest version of each model. Raises `ModelNotFound` when it is empty."""
    choices = [Choice(name, store.versions(name)[-1]) for name in store.names()]
    if not choices:
        raise ModelNotFound(f"model store {store.root}: holds no model version (NAME/VERSION/manifest.json)")
    return choices


def default_name(choices: list[Choice], settings: Settings) -> str | None:
    """Return the name that requests without one mean, None if they must name it; raises `ModelNotFound`."""
    names = [choice.name for choice in choices]
    if settings.default_model is None:
        return names[0] if len(names) == 1 else None
    if settings.default_model not in names:
        raise ModelNotFound(f"CONVSERVE_DEFAULT_MODEL={settings.default_model}: the store has {', '.join(names)}")
    return settings.default_model


def load(store: ModelStore, choice: Choice, settings: Settings) -> Loaded:
    """Read, verify, load and prove one model.

    Raises a `ModelError` with one line that names the file or the provider and the reason.
    """
    started = perf_counter()
    file = store.read(choice.name, choice.version, choice.precision)
    small = len(file.data) <= LIGHT_BYTES and settings.threads == 0
    loaded = session.load(file, settings.provider, 1 if small else settings.threads_per_worker)
    light = small and _is_light(loaded)
    if small and not light and settings.threads_per_worker > 1:
        loaded = session.load(file, settings.provider, settings.threads_per_worker)
    _prove(loaded, file)
    return Loaded(loaded, file.precision, file.sha256, light, perf_counter() - started)


def warm_up(loaded: Loaded, max_batch_size: int) -> None:
    """Run every power of two up to the batch limit once, so that no request pays for first-time work."""
    shape = loaded.session.spec.geometry.shape
    size = 1
    while size < max_batch_size:
        loaded.session.run(np.zeros((size, *shape), np.uint8))
        size *= 2
    loaded.session.run(np.zeros((max_batch_size, *shape), np.uint8))


def check(settings: Settings) -> None:
    """Load everything that is to be served and let it go again; raises the `ModelError` that refuses the start.

    Where a GPU may be taken, the work is done in a process that ends, so that this one never holds a device.
    """
    if settings.provider == "cpu" or not session.has_gpu_build():
        _check_here(settings)
        return
    child = subprocess.run([sys.executable, "-m", "service.lifecycle"], capture_output=True, text=True, check=False)
    if child.returncode != 0:
        lines = child.stderr.strip().splitlines()
        raise ProviderUnavailable(lines[-1] if lines else f"the check of the models ended with {child.returncode}")


def _check_here(settings: Settings) -> None:
    store = ModelStore(settings.model_store)
    choices = choose(store)
    default_name(choices, settings)
    for choice in choices:
        load(store, choice, settings)


def _is_light(loaded: Session) -> bool:
    """Time a batch on one thread, best of three."""
    images = np.zeros((32, *loaded.spec.geometry.shape), np.uint8)
    times = []
    for _ in range(3):
        started = perf_counter()
        loaded.run(images)
        times.append(perf_counter() - started)
    return min(times) < LIGHT_S


def _prove(loaded: Session, file: ModelFile) -> None:
    geometry = loaded.spec.geometry
    images = np.stack([preprocess(data, geometry, _GOLDEN_LIMITS) for data in file.golden.files])
    if fault := file.golden.mismatch(file.precision, loaded.run(images).logits):
        raise InvalidModelFile(f"{file.path}: fails its golden images: {fault}")


if __name__ == "__main__":
    try:
        _check_here(read_settings())
    except (ModelError, InvalidSettings) as error:
        sys.exit(str(error))
