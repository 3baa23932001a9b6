"""One request, in order: admit, decode, queue, infer, label. Read this first; it knows images and models, no HTTP."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.errors import ModelError
from models.postprocess import Prediction, top_k
from models.preprocess import DecodeLimits, decode, fit, open_image
from models.spec import Geometry, ModelSpec
from service.batcher import Answer, Batcher
from service.errors import BadParameter, NotReady, RequestError, UnknownModel, quoted
from service.lifecycle import Loaded

TINY_PIXELS = 16_384  # 128 × 128: decoded sooner than handed to another thread
Refusal = ModelError | RequestError
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ServedModel:
    """A loaded model with its queue."""

    loaded: Loaded
    batcher: Batcher

    @cached_property
    def spec(self) -> ModelSpec:
        """The spec that the model file carries."""
        return self.loaded.session.spec

    @cached_property
    def identity(self) -> dict[str, str | int]:
        """What answers say of the model that made them."""
        return {"name": self.spec.name, "version": self.spec.version, "precision": self.loaded.precision}


class Classified(NamedTuple):
    """Per image, in order, its predictions or why it has none; the times are those of the slowest image."""

    model: ServedModel
    results: list[list[Prediction] | Refusal]
    decode_s: float
    queue_s: float
    inference_s: float


class Engine:
    """Everything that one worker classifies with."""

    def __init__(self, limits: DecodeLimits, decode_threads: int) -> None:
        self._limits = limits
        self._pool = ThreadPoolExecutor(decode_threads, thread_name_prefix="decode")
        self._models: dict[str, ServedModel] = {}
        self._default: str | None = None

    @property
    def models(self) -> Mapping[str, ServedModel]:
        """The models that are served, by name."""
        return self._models

    def serve(self, models: Mapping[str, ServedModel], default: str | None) -> None:
        """Take *models* into service; *default* is the one of requests that name none."""
        self._models = dict(models)
        self._default = default

    async def stop(self, timeout_s: float) -> None:
        """Answer what was admitted, refuse the rest."""
        await asyncio.gather(*(model.batcher.stop(timeout_s) for model in self._models.values()))
        self._pool.shutdown(wait=False)

    def find(self, name: str | None) -> ServedModel:
        """Return the model of that name, or the default one. Raises `NotReady`, `UnknownModel` or `BadParameter`."""
        if not self._models:
            raise NotReady("no model is ready yet", retry_after_s=1)
        if name is None:
            if self._default is None:
                raise BadParameter(f"model: required, as several are served: {', '.join(self._models)}")
            name = self._default
        model = self._models.get(name)
        if model is None:
            raise UnknownModel(f"no model {quoted(name)} is served; there are {', '.join(self._models)}")
        return model

    async def classify(self, files: Sequence[bytes], model: ServedModel, k: int, deadline: float) -> Classified:
        """Classify image files; a bad one gets its own refusal and leaves its neighbours alone.

        Raises `Overloaded` or `NotReady` before any work is done when there is no room for all of them.
        """
        batcher, spec = model.batcher, model.spec
        batcher.reserve(len(files), deadline)
        reserved = len(files)
        waiting: list[asyncio.Future[Answer] | Refusal] = []
        started = perf_counter()
        try:
            for image in [self._decode(data, spec.geometry) for data in files]:
                decoded = await image if isinstance(image, asyncio.Future) else image
                reserved -= 1
                if isinstance(decoded, ModelError):
                    batcher.release(1)
                    waiting.append(decoded)
                else:
                    waiting.append(batcher.submit(decoded, deadline))
            decode_s = perf_counter() - started
            results: list[list[Prediction] | Refusal] = []
            queue_s = inference_s = 0.0
            for pending in waiting:
                answer = await _outcome(pending) if isinstance(pending, asyncio.Future) else pending
                if isinstance(answer, Answer):
                    results.append(top_k(answer.probabilities, spec.labels, k))
                    queue_s, inference_s = max(queue_s, answer.queue_s), max(inference_s, answer.inference_s)
                else:
                    results.append(answer)
        except asyncio.CancelledError:  # nobody waits for any of them any more
            batcher.release(reserved)
            for pending in waiting:
                if isinstance(pending, asyncio.Future):
                    pending.cancel()
            raise
        return Classified(model, results, decode_s, queue_s, inference_s)

    def _decode(self, data: bytes, geometry: Geometry) -> Pixels | ModelError | asyncio.Future[Pixels | ModelError]:
        """Decode an image file to (H, W, C): a tiny one here and now, another in the pool."""
        try:
            image = open_image(data, geometry, self._limits)
            if image.width * image.height <= TINY_PIXELS:
                return fit(decode(image, geometry), geometry)
        except ModelError as error:
            return error
        return asyncio.get_running_loop().run_in_executor(self._pool, _decode_opened, image, geometry)


def _decode_opened(image: Image.Image, geometry: Geometry) -> Pixels | ModelError:
    try:
        return fit(decode(image, geometry), geometry)
    except ModelError as error:
        return error


async def _outcome(future: asyncio.Future[Answer]) -> Answer | RequestError:
    try:
        return await future
    except RequestError as error:
        return error
