"""One request, in order: admit, decode, queue, infer. Read this first; it knows images and models, no HTTP."""

import asyncio
from collections.abc import Coroutine, Sequence
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from models.errors import ModelError
from models.spec import Geometry
from service.admission import Claim
from service.batcher import Batcher
from service.cache import Cache
from service.catalog import Catalog, ServedModel
from service.decoder import Decoded, Decoder, finished
from service.errors import RequestError, as_value
from service.outputs import Answer, mean

Refusal = ModelError | RequestError
Pixels = npt.NDArray[np.uint8]


class Answered(NamedTuple):
    """Per image, in order, its answer or why it has none; the times are those of the slowest image."""

    results: list[Answer | Refusal]
    decode_s: float
    queue_s: float
    inference_s: float


class Engine:
    """Everything that one worker classifies with."""

    def __init__(self, decoder: Decoder, cache: Cache | None = None) -> None:
        self._decoder = decoder
        self.cache = cache
        self.catalog = Catalog()
        self.find = self.catalog.find

    def models(self) -> list[ServedModel]:
        """Return everything that is loaded; safe in any thread."""
        return [model for lineup in list(self.catalog.lineups.values()) for model in list(lineup.versions.values())]

    def active_models(self) -> list[ServedModel]:
        """Return those that requests mean which name no version."""
        return [lineup.active for lineup in self.catalog.lineups.values()]

    async def stop(self, timeout_s: float) -> None:
        """Answer what was admitted, refuse the rest."""
        await asyncio.gather(*(model.batcher.stop(timeout_s) for model in self.models()))
        self._decoder.stop()

    def answer(
        self, images: Sequence[bytes] | Pixels, model: ServedModel, claim: Claim, *, crops: int = 1
    ) -> Coroutine[Any, Any, Answered]:
        """Infer images, either files or already prepared as one array (N, H, W, C); with ten *crops*, their mean.

        Raises `Overloaded`, `ClientLimit` or `NotReady` before any work is done when there is no room for all of them,
        `ImageTooLarge` when they have too many pixels together.
        """
        if model.trial is None and self.cache is None:
            if len(images) == crops == 1 and isinstance(images, list):
                return self._compute_one(images[0], model.spec.geometry, model.batcher, claim)
            return self.compute(images, model, claim, crops)
        return self._answer_beside(images, model, claim, crops)

    async def _answer_beside(
        self, images: Sequence[bytes] | Pixels, model: ServedModel, claim: Claim, crops: int
    ) -> Answered:
        """Answer with the cache before it and the trial behind it, where there are any."""
        started = perf_counter()
        cache = self.cache
        if cache is None or isinstance(images, np.ndarray) or cache.stands_aside(len(images)):
            answered = await self.compute(images, model, claim, crops)
        else:
            answered = await self._remembered(cache, images, model, claim, crops)
        if model.trial is not None:
            model.trial.answered(images, answered.results, perf_counter() - started)
        return answered

    async def compute(
        self, images: Sequence[bytes] | Pixels, model: ServedModel, claim: Claim, crops: int = 1
    ) -> Answered:
        """Answer as `answer` does, beside the cache and the trial of the model."""
        geometry = model.spec.geometry
        if not isinstance(images, np.ndarray) and len(images) == crops == 1:
            return await self._compute_one(images[0], geometry, model.batcher, claim)
        if not isinstance(images, np.ndarray):
            self._decoder.check(images, geometry)
        places = _Places(model.batcher, claim, len(images), crops)
        started = perf_counter()
        try:
            if isinstance(images, np.ndarray):
                for image in images:
                    places.fill(image)
            else:
                for decoding in places.decode(self._decoder, images, geometry):
                    if isinstance(decoding, asyncio.Future):
                        places.fill(await finished(decoding, claim.deadline))
                    else:
                        places.fill(decoding)
            decode_s = perf_counter() - started
            results = [await _outcome(one) if isinstance(one, asyncio.Future) else one for one in places.waiting]
        except BaseException:  # the client is gone, or we failed
            places.give_up()
            raise
        if crops != 1:
            results = [_of_crops(results[first : first + crops]) for first in range(0, len(results), crops)]
        return _answered(results, decode_s)

    async def _compute_one(self, data: bytes, geometry: Geometry, batcher: Batcher, claim: Claim) -> Answered:
        """Do the same for what most requests are, a single file, in fewer steps."""
        batcher.reserve(1, claim)
        started = perf_counter()
        decoded: Decoded | asyncio.Future[Decoded] | None = None
        waiting: asyncio.Future[Answer] | None = None
        try:
            decoded = self._decoder.begin(data, geometry, claim.deadline)
            if isinstance(decoded, asyncio.Future):
                decoded = await finished(decoded, claim.deadline)
            decode_s = perf_counter() - started
            if isinstance(decoded, Exception):
                batcher.release(1, claim)
                return Answered([decoded], decode_s, 0.0, 0.0)
            waiting = batcher.submit(decoded, claim)
            answer = await waiting
        except RequestError as error:
            return Answered([as_value(error)], decode_s, 0.0, 0.0)
        except BaseException:  # the client is gone, or we failed
            if waiting is not None:
                batcher.abandon([waiting])
            else:
                if isinstance(decoded, asyncio.Future):
                    decoded.cancel()
                batcher.release(1, claim, abandoned=True)
            raise
        return Answered([answer], decode_s, answer.queue_s, answer.inference_s)

    async def _remembered(
        self, cache: Cache, files: Sequence[bytes], model: ServedModel, claim: Claim, crops: int
    ) -> Answered:
        decode_s = 0.0

        async def compute(missing: Sequence[bytes]) -> list[Answer | Refusal]:
            nonlocal decode_s
            computed = await self.compute(missing, model, claim, crops)
            decode_s = max(decode_s, computed.decode_s)
            return computed.results

        return _answered(await cache.answer(files, model.loaded.sha256, crops, claim, compute), decode_s)


class _Places:
    """The places before a device that the images of one request take, from admission on."""

    __slots__ = ("_batcher", "_claim", "_crops", "_decoding", "_reserved", "waiting")

    def __init__(self, batcher: Batcher, claim: Claim, images: int, crops: int) -> None:
        batcher.reserve(images * crops, claim)
        self._batcher = batcher
        self._claim = claim
        self._crops = crops  # places of one image
        self._reserved = images * crops  # not filled yet
        self._decoding: list[Decoded | asyncio.Future[Decoded]] = []
        self.waiting: list[asyncio.Future[Answer] | Refusal] = []

    def decode(
        self, decoder: Decoder, files: Sequence[bytes], geometry: Geometry
    ) -> list[Decoded | asyncio.Future[Decoded]]:
        """Begin to decode; each image is then to be filled in."""
        self._decoding = [decoder.begin(data, geometry, self._claim.deadline, self._crops) for data in files]
        return self._decoding

    def fill(self, decoded: Decoded) -> None:
        """Queue the next image, or give its place back if it is none."""
        self._reserved -= self._crops
        if isinstance(decoded, Exception):
            self._batcher.release(self._crops, self._claim)
            self.waiting += [decoded] * self._crops
        elif self._crops == 1:
            self.waiting.append(self._batcher.submit(decoded, self._claim))
        else:
            self.waiting += [self._batcher.submit(crop, self._claim) for crop in decoded]

    def give_up(self) -> None:
        """Give every place back: nobody waits any more, and nothing that has not begun shall be run."""
        for decoding in self._decoding:
            if isinstance(decoding, asyncio.Future):
                decoding.cancel()
        if self._reserved:
            self._batcher.release(self._reserved, self._claim, abandoned=True)
        self._batcher.abandon([pending for pending in self.waiting if isinstance(pending, asyncio.Future)])


async def _outcome(future: asyncio.Future[Answer]) -> Answer | RequestError:
    try:
        return await future
    except RequestError as error:
        return as_value(error)


def _answered(results: list[Answer | Refusal], decode_s: float) -> Answered:
    if len(results) == 1 and isinstance(only := results[0], Answer):
        return Answered(results, decode_s, only.queue_s, only.inference_s)
    answers = [result for result in results if isinstance(result, Answer)]
    queue_s = max((answer.queue_s for answer in answers), default=0.0)
    inference_s = max((answer.inference_s for answer in answers), default=0.0)
    return Answered(results, decode_s, queue_s, inference_s)


def _of_crops(results: Sequence[Answer | Refusal]) -> Answer | Refusal:
    """Return the answer to one image from those to its crops; what is wrong with one is wrong with it."""
    answers = [result for result in results if isinstance(result, Answer)]
    return mean(answers) if len(answers) == len(results) else next(r for r in results if not isinstance(r, Answer))
