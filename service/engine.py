"""One request, in order: admit, decode, queue, infer, label. Read this first; it knows images and models, no HTTP."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.errors import ModelError
from models.postprocess import Prediction, top_k
from models.preprocess import DecodeLimits, decode, fit, open_image
from models.spec import Geometry
from service.admission import Claim
from service.batcher import Answer
from service.catalog import Catalog, ServedModel
from service.errors import RequestError

TINY_PIXELS = 16_384  # 128 × 128: decoded sooner than handed to another thread
Refusal = ModelError | RequestError
Pixels = npt.NDArray[np.uint8]


class Answered(NamedTuple):
    """Per image, in order, its answer or why it has none; the times are those of the slowest image."""

    results: list[Answer | Refusal]
    decode_s: float
    queue_s: float
    inference_s: float


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
        self.catalog = Catalog()
        self.find = self.catalog.find

    async def stop(self, timeout_s: float) -> None:
        """Answer what was admitted, refuse the rest."""
        models = [model for lineup in self.catalog.lineups.values() for model in lineup.versions.values()]
        await asyncio.gather(*(model.batcher.stop(timeout_s) for model in models))
        self._pool.shutdown(wait=False)

    async def classify(self, files: Sequence[bytes], model: ServedModel, k: int, claim: Claim) -> Classified:
        """Classify image files; a bad one gets its own refusal and leaves its neighbours alone.

        Raises as `answer` does.
        """
        answered = await self.answer(files, model, claim)
        labels = model.spec.labels
        results = [
            top_k(answer.probabilities, labels, k) if isinstance(answer, Answer) else answer
            for answer in answered.results
        ]
        return Classified(model, results, answered.decode_s, answered.queue_s, answered.inference_s)

    async def answer(self, images: Sequence[bytes] | Pixels, model: ServedModel, claim: Claim) -> Answered:
        """Infer images, either files or already prepared as one array (N, H, W, C).

        Raises `Overloaded`, `ClientLimit` or `NotReady` before any work is done when there is no room for all of them.
        """
        batcher, geometry = model.batcher, model.spec.geometry
        batcher.reserve(len(images), claim)
        reserved = len(images)
        waiting: list[asyncio.Future[Answer] | Refusal] = []
        started = perf_counter()
        try:
            for image in (
                images if isinstance(images, np.ndarray) else [self._decode(data, geometry) for data in images]
            ):
                decoded = await image if isinstance(image, asyncio.Future) else image
                reserved -= 1
                if isinstance(decoded, ModelError):
                    batcher.release(1, claim)
                    waiting.append(decoded)
                else:
                    waiting.append(batcher.submit(decoded, claim))
            decode_s = perf_counter() - started
            results: list[Answer | Refusal] = []
            queue_s = inference_s = 0.0
            for pending in waiting:
                answer = await _outcome(pending) if isinstance(pending, asyncio.Future) else pending
                results.append(answer)
                if isinstance(answer, Answer):
                    queue_s, inference_s = max(queue_s, answer.queue_s), max(inference_s, answer.inference_s)
        except asyncio.CancelledError:  # nobody waits for any of them any more
            if reserved:
                batcher.release(reserved, claim)
            batcher.abandon([pending for pending in waiting if isinstance(pending, asyncio.Future)])
            raise
        return Answered(results, decode_s, queue_s, inference_s)

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
