"""A version on trial: what a canary or a shadow answers, counted and compared with the active version's answers.

Comparing runs an image once more, so it waits for a moment in which nobody else wants the device; what comes meanwhile
is kept, a few images of it, and the rest is counted as skipped. A client never waits for a comparison.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from service import families
from service.catalog import ServedModel
from service.errors import InferenceFailed
from service.metrics import Counter, Histogram, Metrics
from service.outputs import Answer, alone

logger = logging.getLogger("convserve.rollout")
_KEPT_BYTES = 16 * 2**20  # of images that wait for a comparison
_KEPT = 256
Image = bytes | npt.NDArray[np.uint8]
Run = Callable[[Image, ServedModel], Awaitable[Answer | None]]


class Meters:
    """The series of one version in one role."""

    def __init__(self, metrics: Metrics, model: ServedModel, role: str) -> None:
        labels = (model.spec.name, str(model.spec.version), role)
        self.requests: Counter = metrics.series(families.TRIAL_REQUESTS, *labels)
        self.images: Counter = metrics.series(families.TRIAL_IMAGES, *labels)
        self.errors: Counter = metrics.series(families.TRIAL_ERRORS, *labels)
        self.compared: Counter = metrics.series(families.COMPARED, *labels)
        self.agreed: Counter = metrics.series(families.AGREED, *labels)
        self.divergence: Counter = metrics.series(families.DIVERGENCE, *labels)
        self.skipped: Counter = metrics.series(families.SKIPPED, *labels)
        self.seconds: Histogram = metrics.histogram(families.TRIAL_DURATION, *labels)

    def compare(self, active: ServedModel, expected: Answer, own: ServedModel, got: Answer) -> None:
        """Count one image that both versions have answered."""
        self.compared.add()
        self.agreed.add(_top(active, expected) == _top(own, got))
        if active.spec.labels == own.spec.labels:  # else their distributions are over different things
            self.divergence.add(divergence(expected.probabilities, got.probabilities))


@dataclass(frozen=True, slots=True)
class _Sample:
    """An image, and what the version that a client asked has answered."""

    image: Image
    answer: Answer


class Trial:
    """What happens beside the requests that *model* answers; *other* answers their images once more, to compare.

    *model* is the active version and *other* the shadow, or *model* the canary and *other* the active version.
    *run* puts an image through a model without any of this.
    """

    def __init__(
        self, model: ServedModel, other: ServedModel | None, meters: Meters, others: Meters | None, run: Run
    ) -> None:
        self._model = model
        self._other = other
        self._meters = meters
        self._others = others  # None when *model* is the one on trial, and *other* the active version
        self._run = run
        self._samples: deque[_Sample] = deque()
        self._bytes = 0
        self._task: asyncio.Task[None] | None = None

    def answered(self, images: Sequence[Image], results: Sequence[Any], seconds: float) -> None:
        """Count a request that *model* has answered, and keep its images for comparison."""
        meters = self._meters
        meters.requests.add()
        meters.seconds.observe(seconds)
        for image, result in zip(images, results, strict=True):
            if isinstance(result, Answer):
                meters.images.add()
                if self._other is not None:
                    self._keep(image, result)
            elif isinstance(result, InferenceFailed):
                meters.images.add()
                meters.errors.add()

    def end(self) -> None:
        """Compare no more."""
        if self._task is not None:
            self._task.cancel()

    def _keep(self, image: Image, answer: Answer) -> None:
        size = len(image) if isinstance(image, bytes) else image.nbytes
        if len(self._samples) >= _KEPT or self._bytes + size > _KEPT_BYTES:
            (self._others or self._meters).skipped.add()
            return
        own = image if isinstance(image, bytes) else image.copy()  # a row of pixels keeps the body that it came in
        self._samples.append(_Sample(own, alone(answer)))
        self._bytes += size
        if self._task is None:
            self._task = asyncio.create_task(self._work())

    async def _work(self) -> None:
        """Compare what was kept, one image at a time, each in an idle moment."""
        try:
            while self._samples:
                await self._until_idle()
                sample = self._samples.popleft()
                self._bytes -= len(sample.image) if isinstance(sample.image, bytes) else sample.image.nbytes
                await self._compare(sample)
        except Exception:  # of a task that nobody awaits
            logger.exception("a comparison failed")
        finally:
            self._task = None

    async def _until_idle(self) -> None:
        queues = [model.batcher.idle for model in (self._model, self._other) if model is not None]
        while not all(queue.is_set() for queue in queues):
            for queue in queues:
                await queue.wait()

    async def _compare(self, sample: _Sample) -> None:
        if self._other is None:
            return
        started = asyncio.get_running_loop().time()
        answer = await self._run(sample.image, self._other)
        if self._others is None:  # the canary has answered the client
            if answer is not None:
                self._meters.compare(self._other, answer, self._model, sample.answer)
            return
        self._others.requests.add()
        self._others.images.add()
        self._others.seconds.observe(asyncio.get_running_loop().time() - started)
        if answer is None:
            self._others.errors.add()
        else:
            self._others.compare(self._model, sample.answer, self._other, answer)


def divergence(expected: npt.NDArray[np.float32], got: npt.NDArray[np.float32]) -> float:
    """Return the Kullback-Leibler divergence Σ p·ln(p/q) of two distributions (K,), in nats; never below 0."""
    p, q = (np.maximum(values.astype(np.float64), 1e-12) for values in (expected, got))
    return max(0.0, float((p * np.log(p / q)).sum()))


def _top(model: ServedModel, answer: Answer) -> str:
    return model.spec.labels[int(answer.probabilities.argmax())]
