"""The trials of one worker: begun and ended as line-ups come and go; and of all workers together, their end by rule."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from time import perf_counter
from typing import Literal, NamedTuple

import numpy as np

from service.admission import Claim, Priority
from service.catalog import Lineup, ServedModel
from service.engine import Engine
from service.errors import RequestError
from service.metrics import Metrics
from service.outputs import Answer
from service.rollout.deployment import Abort, Deployment
from service.rollout.figures import Figures
from service.rollout.trial import Image, Meters, Trial

logger = logging.getLogger("convserve.rollout")
Parts = tuple[ServedModel, ServedModel | None, ServedModel | None]  # active, canary, shadow
_WITHIN_S = 30.0  # a comparison that takes longer tells nothing


class OnTrial(NamedTuple):
    """One version in one role that ends by itself when it passes a limit."""

    name: str
    version: int
    role: Literal["canary", "shadow"]


class Trials:
    """What runs beside the requests of this worker."""

    def __init__(self, engine: Engine, metrics: Callable[[], Metrics]) -> None:
        self._engine = engine
        self._metrics = metrics
        self._running: dict[Parts, list[ServedModel]] = {}  # who takes part → who carries a trial
        self._before: dict[OnTrial, Figures] = {}

    def attach(self, lineups: Mapping[str, Lineup]) -> None:
        """Begin the trials of these line-ups, end those of all others; what goes on is left alone."""
        wanted = {_parts(lineup): lineup for lineup in lineups.values() if lineup.canary or lineup.shadow}
        for parts in self._running.keys() - wanted.keys():
            for model in self._running.pop(parts):
                if model.trial is not None:
                    model.trial.end()
                    model.trial = None
        for parts in wanted.keys() - self._running.keys():
            self._running[parts] = self._begin(wanted[parts])

    def aborts(self, deployment: Deployment) -> list[tuple[OnTrial, str]]:
        """Return which versions have passed a limit of theirs since this was first asked, and how.

        Reads the numbers of all workers, which takes milliseconds: call it in a thread.
        """
        rules = dict(_rules(deployment))
        self._before = {key: figures for key, figures in self._before.items() if key in rules}
        if not rules:
            return []
        merged = self._metrics().merged()
        found = []
        for key, rule in rules.items():
            figures = Figures.of(merged, *key)
            breach = figures.since(self._before.setdefault(key, figures)).breach(rule)
            if breach is not None:
                found.append((key, breach))
        return found

    async def figures(self, name: str, lineup: Lineup) -> dict[str, dict[str, float | int]]:
        """Return the figures of a model's versions by role, of all workers, since the server's start."""
        roles = {"active": lineup.active}
        if lineup.canary is not None:
            roles["canary"] = lineup.canary.model
        if lineup.shadow is not None:
            roles["shadow"] = lineup.shadow
        if len(roles) == 1:
            return {}
        merged = await asyncio.to_thread(self._metrics().merged)
        return {
            role: {"version": model.spec.version, **Figures.of(merged, name, model.spec.version, role).summary()}
            for role, model in roles.items()
        }

    def _begin(self, lineup: Lineup) -> list[ServedModel]:
        active, shadow = lineup.active, lineup.shadow
        carrying = [active]
        active.trial = Trial(
            active,
            shadow,
            Meters(self._metrics(), active, "active"),
            None if shadow is None else Meters(self._metrics(), shadow, "shadow"),
            self._run,
        )
        if lineup.canary is not None and lineup.canary.model is not active:
            canary = lineup.canary.model
            canary.trial = Trial(canary, active, Meters(self._metrics(), canary, "canary"), None, self._run)
            carrying.append(canary)
        return carrying

    async def _run(self, image: Image, model: ServedModel) -> Answer | None:
        """Put one image through a model, behind everybody else; None if that failed."""
        if isinstance(image, np.ndarray) and image.shape != model.spec.geometry.shape:
            return None
        images = [image] if isinstance(image, bytes) else image[None]
        claim = Claim(perf_counter() + _WITHIN_S, priority=Priority.LOW)
        try:
            (result,) = (await self._engine.compute(images, model, claim)).results
        except RequestError:
            return None
        return result if isinstance(result, Answer) else None


def _parts(lineup: Lineup) -> Parts:
    return lineup.active, None if lineup.canary is None else lineup.canary.model, lineup.shadow


def _rules(deployment: Deployment) -> Iterable[tuple[OnTrial, Abort]]:
    for name, plan in deployment.models.items():
        if plan.canary is not None and plan.canary.abort is not None:
            yield OnTrial(name, plan.canary.version, "canary"), plan.canary.abort
        if plan.shadow is not None and plan.shadow.abort is not None:
            yield OnTrial(name, plan.shadow.version, "shadow"), plan.shadow.abort
