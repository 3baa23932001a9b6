"""How a version in the store becomes a session that may answer: read, verified, loaded, proved, warmed.

The same steps run before the start, to refuse it with one line, and in each worker.
"""

from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.errors import InvalidModelFile
from models.preprocess import OPTIONAL_FORMATS, DecodeLimits, preprocess
from models.store import ModelFile, ModelStore, Precision
from service import session
from service import warm_up as warming
from service.session import Session
from service.settings import Provider, Settings

LIGHT_BYTES = 16 * 2**20  # a larger model file is not even tried for being light
LIGHT_S = 0.002  # for a batch of 32
_GOLDEN_LIMITS = DecodeLimits(formats=DecodeLimits().formats | OPTIONAL_FORMATS)


class Choice(NamedTuple):
    """One version of a model in one precision."""

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
    proof: npt.NDArray[np.uint8]  # (H, W, C): an image that it is known to answer well
    load_s: float


def load(store: ModelStore, choice: Choice, settings: Settings, provider: Provider | None = None) -> Loaded:
    """Read, verify, load and prove one version, on the settings' execution provider unless another is named.

    Raises a `ModelError` with one line that names the file or the provider and the reason.
    """
    started = perf_counter()
    provider = provider or settings.provider
    file = store.read(choice.name, choice.version, choice.precision)
    small = len(file.data) <= LIGHT_BYTES and settings.threads == 0
    loaded = session.load(file, provider, 1 if small else settings.threads_per_worker)
    light = small and is_light(loaded)
    if small and not light and settings.threads_per_worker > 1:
        loaded = session.load(file, provider, settings.threads_per_worker)
    proof = _prove(loaded, file)
    return Loaded(loaded, file.precision, file.sha256, light, proof, perf_counter() - started)


def warm_up(loaded: Loaded, max_batch_size: int) -> int:
    """Run every size of batch that may be formed; return the largest that is worth forming, the limit at most.

    Only where the device is a CPU does that depend on the size alone: the others run faster than they can be fed.
    """
    shape = loaded.session.spec.geometry.shape
    if loaded.session.placement.provider == "cpu" and not loaded.light:
        return warming.warm_up(loaded.session.run, shape, max_batch_size)
    for size in warming.sizes(max_batch_size):
        loaded.session.run(np.zeros((size, *shape), np.uint8))
    return max_batch_size


def batch_s(loaded: Session) -> float:
    """Return how long a batch of 32 takes, the best of three."""
    images = np.zeros((32, *loaded.spec.geometry.shape), np.uint8)
    times = []
    for _ in range(3):
        started = perf_counter()
        loaded.run(images)
        times.append(perf_counter() - started)
    return min(times)


def is_light(loaded: Session) -> bool:
    """Tell whether a batch takes hardly any time, on the threads that it was loaded with."""
    return batch_s(loaded) < LIGHT_S


def golden_images(loaded: Session, file: ModelFile) -> npt.NDArray[np.uint8]:
    """Return the golden images, prepared (N, H, W, C)."""
    return np.stack([preprocess(data, loaded.spec.geometry, _GOLDEN_LIMITS) for data in file.golden.files])


def unproved(loaded: Session, file: ModelFile, images: npt.NDArray[np.uint8]) -> str | None:
    """Return in one line how the model fails its golden *images*, None if it does not."""
    return file.golden.mismatch(file.precision, loaded.run(images).logits)


def _prove(loaded: Session, file: ModelFile) -> npt.NDArray[np.uint8]:
    """Compare with the golden answers; return the first image (H, W, C)."""
    images = golden_images(loaded, file)
    if fault := unproved(loaded, file, images):
        raise InvalidModelFile(f"{file.path}: fails its golden images: {fault}")
    proof: npt.NDArray[np.uint8] = images[0].copy()
    return proof
