"""Looks at the deployment file and at the store, and acts when they change. Polling: it works on every file system.

Each worker reloads what it serves when its files change; one of them, the leader, also tries what is new in the store,
so that a bad version is tried once and not by all.
"""

import asyncio
import logging
from typing import NamedTuple

from models.errors import ModelError
from models.store import ModelStore, Stamp
from service.rollout.control import Control
from service.rollout.deployment import Aborted
from service.rollout.peers import Standing

logger = logging.getLogger("convserve.rollout")
TICK_S = 0.1  # one look at one file
SCAN_TICKS = 10  # and so often all folders of the store


class _Scan(NamedTuple):
    """What was found: the versions of the store with how they look, the other workers, and who leads."""

    stamps: dict[tuple[str, int], Stamp]
    others: list[Standing]
    leads: bool


class Watch:
    """Keeps one worker at what the files say."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._file_stamp: tuple[int, int, int] | None = None
        self._served: dict[tuple[str, int], Stamp] = {}
        self._verified: dict[tuple[str, int], tuple[Stamp, str | None]] = {}

    async def run(self) -> None:
        """Watch until cancelled."""
        tick = 0
        while True:
            await asyncio.sleep(TICK_S)
            tick += 1
            try:
                if (stamp := self._control.file.stamp()) != self._file_stamp:
                    self._file_stamp = stamp
                    await self._control.follow()
                if tick % SCAN_TICKS == 0:
                    await self.scan()
            except Exception:  # whatever it was, the next look may be better, and what is served is served
                logger.exception("watching the store failed")

    async def scan(self) -> None:
        """Look at the whole store once, and act on what has changed."""
        control = self._control
        try:
            found = await asyncio.to_thread(self._look)
        except ModelError as error:
            control.heard = dict.fromkeys(control.stored, str(error))
            return
        control.stored = set(found.stamps)
        control.heard = _heard(found.others)
        served = _asked_for(control)
        before, self._served = self._served, {key: found.stamps.get(key, ()) for key in served}
        if before != self._served:  # also when another version is served: its files may have changed since it was read
            await control.follow()
        if found.leads:
            await self._try_new(found.stamps, served)
            for trial, reason in await asyncio.to_thread(control.trials.aborts, control.deployment):
                await control.abort(trial.name, Aborted(version=trial.version, role=trial.role, reason=reason))

    def _look(self) -> _Scan:
        store, peers = self._control.store, self._control.peers
        return _Scan(store.stamps(), peers.others(), peers.leads())

    async def _try_new(self, stamps: dict[tuple[str, int], Stamp], served: set[tuple[str, int]]) -> None:
        """Adopt what is to be followed, verify what only lies there; note what is wrong with either."""
        control = self._control
        notices: dict[tuple[str, int], str] = {}
        adopted: set[str] = set()
        for name, version in sorted(stamps, reverse=True):  # the highest first
            key = name, version
            if name in adopted or key in served:
                continue
            plan = control.deployment.models.get(name)
            newer = plan is None or (plan.follow_latest and plan.active is not None and version > plan.active)
            try:
                if newer and (plan is None or plan.loaded):
                    await control.adopt(name, version)
                    adopted.add(name)
                    continue
                reason = await self._verify(key, stamps[key])
            except ModelError as error:
                reason = str(error)
            if reason is not None:
                notices[key] = reason
        if notices != control.notices:
            control.notices = notices
            control.say()

    async def _verify(self, key: tuple[str, int], stamp: Stamp) -> str | None:
        """Read every file of a version, once as long as they stay as they are; return what is wrong with them."""
        before, reason = self._verified.get(key, ((), None))
        if before != stamp:
            try:
                await asyncio.to_thread(_read_all, self._control.store, *key)
                reason = None
            except ModelError as error:
                reason = str(error)
            self._verified[key] = stamp, reason
        return reason


def _read_all(store: ModelStore, name: str, version: int) -> None:
    for precision, rung in store.manifest(name, version).ladder.items():
        if rung.admitted:
            store.read(name, version, precision)


def _asked_for(control: Control) -> set[tuple[str, int]]:
    """Return every version that the deployment names."""
    return {
        (name, version)
        for name, plan in control.deployment.models.items()
        for version in (plan.active, *(one.version for one in (plan.canary, plan.shadow, *plan.extra) if one))
        if version is not None
    }


def _heard(others: list[Standing]) -> dict[tuple[str, int], str]:
    heard = {}
    for peer in others:
        for key, reason in {**peer.notices, **peer.troubles}.items():
            name, _, version = key.rpartition("/")
            heard[name, int(version)] = reason
    return heard
