"""The loaded versions of this worker: each is made once, shared by all that use it, and given back when none does.

What failed is remembered together with how its files looked, and is tried again when they have changed.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from models.errors import InvalidModelFile, ModelError
from models.store import ModelStore, Stamp
from service import lifecycle, memory
from service.catalog import ServedModel
from service.lifecycle import Choice, Loaded
from service.rollout.deployment import ModelPlan
from service.settings import Provider, Settings

logger = logging.getLogger("convserve.rollout")


class Limits(NamedTuple):
    """How the queue of a model works: the settings', where the plan says nothing else."""

    max_batch_size: int
    max_wait_ms: float
    queue_capacity: int


class _Key(NamedTuple):
    """What makes two of them the same."""

    choice: Choice
    stamp: Stamp
    provider: Provider
    limits: Limits


class Refused(NamedTuple):
    """Why a version is not served, without the traceback that would keep its content in memory."""

    kind: type[ModelError]
    reason: str

    def again(self) -> ModelError:
        """Return the error to raise."""
        return self.kind(self.reason)


class Versions:
    """Loads, keeps and retires. *build* puts a queue before what was loaded; *outcome* counts loads by model."""

    def __init__(
        self,
        store: ModelStore,
        settings: Settings,
        build: Callable[[Loaded, Limits], Awaitable[ServedModel]],
        outcome: Callable[[str, str], None],
    ) -> None:
        self._store = store
        self._settings = settings
        self._build = build
        self._outcome = outcome
        self._loader = ThreadPoolExecutor(1, "load")  # one thread: the allocator keeps an arena for each
        self._served: dict[_Key, ServedModel] = {}
        self._failed: dict[tuple[Choice, Provider], tuple[Stamp, Refused]] = {}
        self.loading: Choice | None = None
        self._retiring: set[asyncio.Task[None]] = set()

    async def get(self, choice: Choice, plan: ModelPlan) -> ServedModel:
        """Return a version, loaded, proved and warmed if it is not there yet.

        Raises the `ModelError` that refused it, without another try as long as its files are the same.
        """
        provider = plan.device or self._settings.provider
        stamp = self._store.stamp(choice.name, choice.version)
        before, reason = self._failed.get((choice, provider), ((), None))
        if reason is not None and before == stamp:
            raise reason.again()
        key = _Key(choice, stamp, provider, self._limits(plan))
        try:
            if key not in self._served:
                self._served[key] = await self._load(key)
            self._failed.pop((choice, provider), None)
            return self._served[key]
        except ModelError as error:
            reason = Refused(type(error), str(error))
            logger.error("%s version %d (%s) is refused: %s", *choice, error)  # noqa: TRY400 (the line says it all)
        except Exception as error:  # whatever a damaged graph makes the runtime raise is its refusal too
            said = next(iter(str(error).splitlines()), type(error).__name__)
            reason = Refused(InvalidModelFile, f"{choice.name} version {choice.version} cannot run: {said}")
            logger.exception("%s version %d (%s) is refused", *choice)
        # out here nothing holds the frames, and with them the content, of what failed
        self._failed[choice, provider] = stamp, reason
        self._outcome(choice.name, "rejected")
        memory.give_back()
        raise reason.again()

    def forget_failures(self, name: str) -> None:
        """Let the next `get` of this model try again what failed."""
        self._failed = {key: value for key, value in self._failed.items() if key[0].name != name}

    def retire(self, in_use: Iterable[ServedModel]) -> None:
        """Drain all others and give their memory back, in the background."""
        keep = {id(model) for model in in_use}
        for key, model in list(self._served.items()):
            if id(model) not in keep:
                del self._served[key]
                task = asyncio.create_task(self._retire(model))
                self._retiring.add(task)
                task.add_done_callback(self._retiring.discard)

    async def stop(self) -> None:
        """Wait until everything that was retired is gone; nothing more can be loaded."""
        await asyncio.gather(*self._retiring)
        self._loader.shutdown(wait=False)

    def _limits(self, plan: ModelPlan) -> Limits:
        return Limits(
            plan.max_batch_size or self._settings.max_batch_size,
            self._settings.max_wait_ms if plan.max_wait_ms is None else plan.max_wait_ms,
            plan.queue_capacity or self._settings.queue_capacity,
        )

    async def _load(self, key: _Key) -> ServedModel:
        self.loading = key.choice
        try:
            loaded, size = await asyncio.get_running_loop().run_in_executor(self._loader, self._load_here, key)
        finally:
            self.loading = None
        model = await self._build(loaded, key.limits._replace(max_batch_size=size))
        self._outcome(key.choice.name, "loaded")
        return model

    def _load_here(self, key: _Key) -> tuple[Loaded, int]:
        loaded = lifecycle.load(self._store, key.choice, self._settings, key.provider)
        return loaded, lifecycle.warm_up(loaded, key.limits.max_batch_size)

    async def _retire(self, model: ServedModel) -> None:
        await model.batcher.stop(self._settings.request_timeout_s + 1)  # nobody waits for longer
        model.loaded.session.close()
        if model.info is not None:
            model.info.add(-1)
        logger.info("%(name)s version %(version)d (%(precision)s) is retired", model.identity)
        await asyncio.get_running_loop().run_in_executor(self._loader, memory.give_back)
