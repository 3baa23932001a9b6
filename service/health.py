"""Whether the models of a worker give usable answers. One that failed several times in a row is not ready; it is asked
for the answer to an image that it is known to answer well until it does, so that images which no model could answer
take a worker out for a second at most.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from time import perf_counter

from service.admission import Claim
from service.catalog import ServedModel
from service.errors import RequestError

logger = logging.getLogger("convserve.health")

_LOOK_S = 1.0
_CLIENT = "self-test"


class Health:
    """Looks after the models that *models* returns; *changed* is called after each look."""

    def __init__(
        self, models: Callable[[], Iterable[ServedModel]], max_failures: int, changed: Callable[[], None]
    ) -> None:
        self._models = models
        self._max_failures = max_failures
        self._changed = changed
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()

    def complaint(self) -> str | None:
        """Return which model fails, None if none does."""
        for model in self._models():
            if model.batcher.failed_in_row >= self._max_failures:
                return f"model {model.spec.name} version {model.spec.version} fails"
        return None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            for model in list(self._models()):
                if model.batcher.failed_in_row >= self._max_failures:
                    await self._ask(model)
            self._changed()

    async def _ask(self, model: ServedModel) -> None:
        claim = Claim(perf_counter() + _LOOK_S, _CLIENT)
        try:
            model.batcher.reserve(1, claim)
            await model.batcher.submit(model.loaded.proof, claim)
        except RequestError as error:
            logger.warning("%s version %d still fails: %s", model.spec.name, model.spec.version, error)
        else:
            logger.info("%s version %d answers again", model.spec.name, model.spec.version)
