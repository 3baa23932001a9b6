"""Brings a worker to what the deployment says, and keeps it there: read this first of the rollout.

A change is loaded and proved by the worker that was asked before it is written down; then every worker follows, and
who asked hears of it when all have. Whatever fails leaves in service what was in service.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic

from models.errors import ModelError, ModelNotFound
from models.store import ModelStore
from service import memory
from service.catalog import Canary, Catalog, Lineup, ServedModel, VersionState
from service.errors import LoadFailed, NotApplied, NotReady, UnknownModel, quoted
from service.lifecycle import Choice, Loaded
from service.rollout import edits, first, precisions
from service.rollout.deployment import Aborted, Deployment, DeploymentFile, InvalidDeployment, ModelPlan
from service.rollout.peers import Peers, Standing
from service.rollout.trials import Trials
from service.rollout.versions import Limits, Versions
from service.settings import Settings

logger = logging.getLogger("convserve.rollout")
audit = logging.getLogger("convserve.audit")
PlanEdit = Callable[[ModelPlan], ModelPlan]
_LOOK_S = 0.02  # how often the others are looked at while waiting for them


class Control:
    """What this worker serves, and the changes of it. *build* and *outcome* are those of `Versions`."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        build: Callable[[Loaded, Limits], Awaitable[ServedModel]],
        outcome: Callable[[str, str], None],
        trials: Trials,
    ) -> None:
        self._settings = settings
        self.catalog = catalog
        self.store: ModelStore = first.open_store(settings)
        self.versions = Versions(self.store, settings, build, outcome)
        self.trials = trials
        self.deployment = Deployment()
        self.troubles: dict[tuple[str, int], str] = {}  # of versions that the deployment asks for
        self.notices: dict[tuple[str, int], str] = {}  # of others, as far as this worker has tried them
        self.heard: dict[tuple[str, int], str] = {}  # what other workers say of either
        self.stored: set[tuple[str, int]] = set()  # what the store has
        catalog.others = self.states
        self._seen = False
        self._lock = asyncio.Lock()

    async def start(self, say: Callable[[str], None]) -> None:
        """Load everything that is to be served; raises the `ModelError` that prevents it. *say* hears of progress."""
        memory.keep_little()  # or weights that were freed would stay with this process
        self._folder = await asyncio.to_thread(first.state_folder, self._settings)
        self.file = DeploymentFile(self._folder)
        self.peers = Peers(self._folder)
        self._seen = True
        self.peers.start()  # before the deployment is read: a change from now on waits for this worker
        async with self._lock:
            deployment = await asyncio.to_thread(self._what_is_served)
            lineups = {}
            for name, plan in deployment.models.items():
                if plan.loaded:
                    say(f"loading {name} version {plan.active}")
                    lineups[name] = await self._lineup(name, plan)
            self._serve(deployment, lineups)

    def _what_is_served(self) -> Deployment:
        """Return the live deployment; who joins others adds nothing to it: what is new has yet to be proved."""
        return self.file.read() or first.initialise(self.file, self.store, self._settings)

    async def stop(self) -> None:
        """Wait for what is being retired, and be seen no more by the other workers."""
        self.trials.attach({})
        await self.versions.stop()
        if self._seen:
            self.peers.stop()

    async def follow(self) -> None:
        """Serve what the deployment file says now; what cannot be is noted, and the old stays."""
        async with self._lock:
            try:
                deployment = await asyncio.to_thread(self.file.read)
            except InvalidDeployment as error:
                logger.error("%s; generation %d stays", error, self.deployment.generation)  # noqa: TRY400
                return
            if deployment is not None:
                await self._apply(deployment)

    async def change(self, name: str, edit: PlanEdit, what: str) -> Deployment:
        """Change the plan of one model on all workers; *what* says so in the log.

        Raises `UnknownModel`; `LoadFailed` when a version that it needs does not prove itself, on any worker, and
        nothing is changed then; `NotApplied` when not all workers have followed in time; whatever *edit* raises.
        """
        if not self.deployment.generation:
            raise NotReady("not ready: what is served is still being loaded", retry_after_s=1)
        async with self._lock:
            before = (await asyncio.to_thread(self.file.read) or self.deployment).models.get(name)
            if before is None:
                raise UnknownModel(f"no model {quoted(name)} in the store or the deployment")
            await self._prepare(name, edit(before))
            deployment = await asyncio.to_thread(
                self.file.change, lambda live: live.with_plan(name, edit(live.models[name]))
            )
            await self._apply(deployment)
        logger.info("%s: %s: generation %d", name, what, deployment.generation)
        await self._all_follow(name, deployment, before)
        return deployment

    async def adopt(self, name: str, version: int) -> None:
        """Make a version active that appeared in the store, if it proves itself and newer ones are to be followed.

        Raises the `ModelError` that refuses it.
        """
        async with self._lock:
            plan = self.deployment.models.get(name) or ModelPlan(active=version, follow_latest=True)
            await self._lineup(name, edits.follow(plan, version))

            def edit(live: Deployment) -> Deployment:
                return live.with_plan(name, edits.follow(live.models.get(name) or plan, version))

            deployment = await asyncio.to_thread(self.file.change, edit)
            await self._apply(deployment)
        audit.info("%s follows the store to version %d: generation %d", name, version, deployment.generation)

    async def abort(self, name: str, aborted: Aborted) -> None:
        """End a trial on all workers."""

        def edit(live: Deployment) -> Deployment:
            plan = live.models.get(name)
            return live if plan is None else live.with_plan(name, edits.abort(plan, aborted))

        await asyncio.to_thread(self.file.change, edit)
        audit.warning("%s: %s version %d is aborted: %s", name, aborted.role, aborted.version, aborted.reason)
        await self.follow()

    async def _prepare(self, name: str, plan: ModelPlan) -> None:
        """Load what *plan* needs, so that it is there when it is served."""
        self.versions.forget_failures(name)
        if not plan.loaded:
            return
        try:
            await self._lineup(name, plan, strict=True)
        except ModelError as error:
            self.versions.retire(self._in_use())
            raise LoadFailed(str(error)) from None

    async def _apply(self, deployment: Deployment) -> None:
        lineups: dict[str, Lineup] = {}
        self.troubles = {}
        for name, plan in deployment.models.items():
            if not plan.loaded:
                continue
            try:
                lineups[name] = await self._lineup(name, plan)
            except ModelError as error:
                self.troubles[name, plan.active or 0] = str(error)
                if name in self.catalog.lineups:
                    lineups[name] = self.catalog.lineups[name]
        self._serve(deployment, lineups)

    def _serve(self, deployment: Deployment, lineups: Mapping[str, Lineup]) -> None:
        """From one moment to the next, serve these line-ups, and let go of what is in none of them."""
        self.deployment = deployment
        only = next(iter(lineups)) if len(lineups) == 1 else None
        self.catalog.serve(lineups, self._settings.default_model or deployment.default or only)
        self.trials.attach(lineups)
        self.versions.retire(self._in_use())
        self.say()

    def say(self) -> None:
        """Tell the other workers where this one stands."""
        troubles, notices = (
            {f"{name}/{version}": reason for (name, version), reason in reasons.items()}
            for reasons in (self.troubles, self.notices)
        )
        self.peers.say(Standing(os.getpid(), self.deployment.generation, troubles, notices))

    def states(self) -> dict[tuple[str, int], VersionState]:
        """Return what is known of versions that this worker does not serve, or serves in spite of something."""
        aborted = {
            (name, plan.aborted.version): f"{plan.aborted.role} aborted: {plan.aborted.reason}"
            for name, plan in self.deployment.models.items()
            if plan.aborted is not None
        }
        served = {(model.spec.name, model.spec.version) for model in self._in_use()}
        reasons = {
            **dict.fromkeys(self.stored - served, "not loaded"),
            **aborted,
            **self.heard,
            **self.notices,
            **self.troubles,
        }
        states = {key: VersionState(*key, "UNAVAILABLE", reason) for key, reason in reasons.items()}
        if (loading := self.versions.loading) is not None:
            states[loading[:2]] = VersionState(*loading[:2], "LOADING", "loading")
        return states

    def _in_use(self) -> list[ServedModel]:
        return [model for lineup in self.catalog.lineups.values() for model in lineup.versions.values()]

    async def _lineup(self, name: str, plan: ModelPlan, *, strict: bool = False) -> Lineup:
        """Return what *plan* says, loaded; raises what refuses the active version, or any if *strict*."""
        if plan.active is None:
            raise ModelNotFound(f"no version of {name} is active")

        async def planned(version: int) -> ServedModel:
            precision = await asyncio.to_thread(
                precisions.resolve, self.store, (name, version), plan, self._settings, self._folder
            )
            return await self.versions.get(Choice(name, version, precision), plan)

        async def other(version: int, loading: Awaitable[ServedModel]) -> ServedModel | None:
            try:
                return await loading
            except ModelError as error:
                if strict:
                    raise
                self.troubles[name, version] = str(error)
                return None

        active = await planned(plan.active)
        canary = await other(plan.canary.version, planned(plan.canary.version)) if plan.canary else None
        shadow = await other(plan.shadow.version, planned(plan.shadow.version)) if plan.shadow else None
        extra = [
            await other(one.version, self.versions.get(Choice(name, one.version, one.precision), plan))
            for one in plan.extra
        ]
        return Lineup.of(
            active,
            *(model for model in (canary, shadow, *extra) if model is not None),
            canary=Canary(canary, plan.canary.percent) if canary is not None and plan.canary is not None else None,
            shadow=shadow,
        )

    async def _all_follow(self, name: str, deployment: Deployment, before: ModelPlan) -> None:
        """Return when every live worker has applied *deployment*; if one cannot, all go back to *before*."""
        until = monotonic() + self._settings.apply_timeout_s
        while True:
            others = await asyncio.to_thread(self.peers.others)
            behind = [peer.pid for peer in others if peer.generation < deployment.generation]
            for peer in others:
                if peer.pid not in behind and (reason := _trouble(peer, name, deployment.models[name])):
                    await self._take_back(name, deployment, before)
                    raise LoadFailed(f"worker {peer.pid}: {reason}; the change was taken back")
            if not behind:
                return
            if monotonic() > until:
                pids = ", ".join(map(str, behind))
                raise NotApplied(
                    f"generation {deployment.generation} is written down, but worker {pids} has not followed within "
                    f"{self._settings.apply_timeout_s:g} s"
                )
            await asyncio.sleep(_LOOK_S)

    async def _take_back(self, name: str, deployment: Deployment, before: ModelPlan) -> None:
        def edit(live: Deployment) -> Deployment:
            unchanged = live.models.get(name) == deployment.models[name]
            return live.with_plan(name, before) if unchanged else live

        await asyncio.to_thread(self.file.change, edit)
        await self.follow()


def _trouble(peer: Standing, name: str, plan: ModelPlan) -> str | None:
    """Return why a worker could not serve what *plan* asks of it."""
    versions = [plan.active, *(role.version for role in (plan.canary, plan.shadow, *plan.extra) if role is not None)]
    return next((peer.troubles[key] for version in versions if (key := f"{name}/{version}") in peer.troubles), None)
