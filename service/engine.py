"""One request, in order: admit, decode, queue, infer, label. Read this first; it knows images and models, no HTTP."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.errors import ModelError
from models.postprocess import Prediction, top_k
from models.preprocess import DecodeLimits, decode, fit, open_image
from models.spec import Geometry, ModelSpec
from service.batcher import Answer, Batcher
from service.errors import BadParameter, NotReady, RequestError, UnknownModel, quoted
from service.lifecycle import TINY_PIXELS, Loaded

Refusal = ModelError | RequestError


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A loaded model with its queue."""

    loaded: Loaded
    batcher: Batcher

    @property
    def spec(self) -> ModelSpec:
        """The spec that the model file carries."""
        return self.loaded.session.spec


@dataclass(frozen=True, slots=True)
class Classified:
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
        unsubmitted = len(files)
        waiting: list[asyncio.Future[Answer] | Refusal] = []
        started = perf_counter()
        try:
            for image in await self._decode(files, spec.geometry):
                unsubmitted -= 1
                if isinstance(image, ModelError):
                    batcher.release(1)
                    waiting.append(image)
                else:
                    waiting.append(batcher.submit(image, deadline))
        finally:
            if unsubmitted:  # the request was cancelled
                batcher.release(unsubmitted)
        decode_s = perf_counter() - started
        results: list[list[Prediction] | Refusal] = []
        queue_s = inference_s = 0.0
        for answer in await _collect(waiting):
            if isinstance(answer, Answer):
                results.append(top_k(answer.probabilities, spec.labels, k))
                queue_s, inference_s = max(queue_s, answer.queue_s), max(inference_s, answer.inference_s)
            else:
                results.append(answer)
        return Classified(model, results, decode_s, queue_s, inference_s)

    async def _decode(self, files: Sequence[bytes], geometry: Geometry) -> list[npt.NDArray[np.uint8] | ModelError]:
        """Decode image files to (H, W, C) arrays: tiny ones here, the others in the pool, side by side."""
        images: list[npt.NDArray[np.uint8] | ModelError] = []
        pooled: list[tuple[int, asyncio.Future[npt.NDArray[np.uint8] | ModelError]]] = []
        for data in files:
            try:
                image = open_image(data, geometry, self._limits)
                if image.width * image.height <= TINY_PIXELS:
                    images.append(fit(decode(image, geometry), geometry))
                    continue
            except ModelError as error:
                images.append(error)
                continue
            loop = asyncio.get_running_loop()
            pooled.append((len(images), loop.run_in_executor(self._pool, _decode_opened, image, geometry)))
            images.append(_PENDING)
        for index, future in pooled:
            images[index] = await future
        return images


_PENDING = ModelError("not decoded yet")


def _decode_opened(image: Image.Image, geometry: Geometry) -> npt.NDArray[np.uint8] | ModelError:
    try:
        return fit(decode(image, geometry), geometry)
    except ModelError as error:
        return error


async def _collect(waiting: Sequence[asyncio.Future[Answer] | Refusal]) -> list[Answer | Refusal]:
    """Wait for every answer; when the request is cancelled, nobody waits for any of them."""
    answers: list[Answer | Refusal] = []
    try:
        for answer in waiting:
            if isinstance(answer, (ModelError, RequestError)):
                answers.append(answer)
                continue
            try:
                answers.append(await answer)
            except RequestError as error:
                answers.append(error)
    finally:
        for answer in waiting[len(answers) :]:
            if isinstance(answer, asyncio.Future):
                answer.cancel()
    return answers
