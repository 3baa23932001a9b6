"""One request, in order: admit, decode, queue, infer, label. Read this first; it knows images and models, no HTTP."""

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.errors import ModelError
from models.postprocess import Prediction, top_k
from models.spec import Geometry
from service.admission import Claim
from service.batcher import Batcher
from service.catalog import Catalog, ServedModel
from service.decoder import Decoded, Decoder, finished
from service.errors import RequestError
from service.outputs import Answer

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

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self.catalog = Catalog()
        self.find = self.catalog.find

    def models(self) -> list[ServedModel]:
        """Return everything that is loaded; safe in any thread."""
        return [model for lineup in list(self.catalog.lineups.values()) for model in list(lineup.versions.values())]

    async def stop(self, timeout_s: float) -> None:
        """Answer what was admitted, refuse the rest."""
        await asyncio.gather(*(model.batcher.stop(timeout_s) for model in self.models()))
        self._decoder.stop()

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

    async def answer(
        self, images: Sequence[bytes] | Pixels, model: ServedModel, claim: Claim, *, beside: bool = True
    ) -> Answered:
        """Infer images, either files or already prepared as one array (N, H, W, C); *beside* the trial of the model.

        Raises `Overloaded`, `ClientLimit` or `NotReady` before any work is done when there is no room for all of them,
        `ImageTooLarge` when they have too many pixels together.
        """
        geometry = model.spec.geometry
        if not isinstance(images, np.ndarray):
            self._decoder.check(images, geometry)
        places = _Places(model.batcher, claim, len(images))
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
        answers = [result for result in results if isinstance(result, Answer)]
        queue_s = max((answer.queue_s for answer in answers), default=0.0)
        inference_s = max((answer.inference_s for answer in answers), default=0.0)
        if model.trial is not None and beside:
            model.trial.answered(images, results, perf_counter() - started)
        return Answered(results, decode_s, queue_s, inference_s)


class _Places:
    """The places before a device that the images of one request take, from admission on."""

    __slots__ = ("_batcher", "_claim", "_decoding", "_reserved", "waiting")

    def __init__(self, batcher: Batcher, claim: Claim, images: int) -> None:
        batcher.reserve(images, claim)
        self._batcher = batcher
        self._claim = claim
        self._reserved = images  # not filled yet
        self._decoding: list[Decoded | asyncio.Future[Decoded]] = []
        self.waiting: list[asyncio.Future[Answer] | Refusal] = []

    def decode(
        self, decoder: Decoder, files: Sequence[bytes], geometry: Geometry
    ) -> list[Decoded | asyncio.Future[Decoded]]:
        """Begin to decode; each image is then to be filled in."""
        self._decoding = [decoder.begin(data, geometry, self._claim.deadline) for data in files]
        return self._decoding

    def fill(self, decoded: Decoded) -> None:
        """Queue the next image, or give its place back if it is none."""
        self._reserved -= 1
        if isinstance(decoded, Exception):
            self._batcher.release(1, self._claim)
            self.waiting.append(decoded)
        else:
            self.waiting.append(self._batcher.submit(decoded, self._claim))

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
        return error
