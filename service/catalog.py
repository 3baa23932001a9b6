"""What is served right now: the models, their versions and precisions, and which of them a request means.

A request pins its model by asking once; swaps replace whole line-ups, so that nobody sees half of one. What nobody
routed, a canary among them, costs a look into one dictionary. It knows neither HTTP nor where models come from.
"""

import hashlib
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple, Protocol

from models.spec import ModelSpec
from models.store import Precision
from service.batcher import Batcher
from service.errors import BadParameter, NotReady, UnknownModel, quoted
from service.lifecycle import Loaded
from service.metrics import Counter

State = Literal["READY", "LOADING", "UNAVAILABLE"]  # the words of the Open Inference Protocol's repository index


class Beside(Protocol):
    """Hears of what a version on trial answers; must return at once."""

    def answered(self, images: Any, results: Sequence[Any], seconds: float) -> None:
        """Take the images of a request and, each in its place, its answer or why it has none."""

    def end(self) -> None:
        """Hear that the trial is over."""


@dataclass(eq=False)
class ServedModel:
    """One version of a model in one precision, loaded, with its queue."""

    loaded: Loaded
    batcher: Batcher
    info: Counter | None = None  # the metric that says that it is served
    trial: Beside | None = None  # while there is a canary or a shadow

    @cached_property
    def spec(self) -> ModelSpec:
        """The spec that the model file carries."""
        return self.loaded.session.spec

    @cached_property
    def identity(self) -> dict[str, str | int]:
        """What answers say of the model that made them."""
        return {"name": self.spec.name, "version": self.spec.version, "precision": self.loaded.precision}


@dataclass(frozen=True, slots=True)
class Canary:
    """A version that gets *percent* of the requests that name no version."""

    model: ServedModel
    percent: float

    def takes(self, client: str | bytes | None) -> bool:
        """Decide for one request: the same for the same *client* as long as this version is the canary."""
        if client is None:
            return random.random() * 100 < self.percent  # noqa: S311 (no secret)
        key = client.encode() if isinstance(client, str) else client
        salt = b"%s/%d/" % (self.model.spec.name.encode(), self.model.spec.version)
        point = int.from_bytes(hashlib.blake2b(salt + key, digest_size=8).digest()) / 2**64  # uniform over [0, 1)
        return point * 100 < self.percent


@dataclass(frozen=True, slots=True)
class Lineup:
    """What is served under one name. `versions` has every loaded one, those in other roles included."""

    active: ServedModel
    versions: Mapping[tuple[int, Precision], ServedModel]
    canary: Canary | None = None
    shadow: ServedModel | None = None

    @classmethod
    def of(cls, active: ServedModel, *others: ServedModel, **roles: Canary | ServedModel | None) -> "Lineup":
        """Return the line-up of *active* and the *others*, with `canary` and `shadow` among them."""
        versions = {(model.spec.version, model.loaded.precision): model for model in (active, *others)}
        return cls(active, versions, **roles)  # type: ignore[arg-type]

    def role(self, model: ServedModel) -> str | None:
        """Return what *model* is used for when no version is asked for, None for nothing."""
        if model is self.active:
            return "active"
        if self.canary is not None and model is self.canary.model:
            return "canary"
        return "shadow" if model is self.shadow else None


class VersionState(NamedTuple):
    """One line of the index of all models: a version that is served, or that should be and why it is not."""

    name: str
    version: int
    state: State
    reason: str = ""  # empty when READY
    precisions: tuple[Precision, ...] = ()  # those that are served
    roles: tuple[str, ...] = ()  # active, canary, shadow


@dataclass(slots=True)
class Catalog:
    """The line-ups by name, and what is known of versions that are not served."""

    lineups: Mapping[str, Lineup] = field(default_factory=dict)
    default: str | None = None  # the model of requests that name none
    others: Callable[[], Mapping[tuple[str, int], VersionState]] = dict  # versions that are loading or unavailable
    _by_name: dict[str | None, Lineup] = field(default_factory=dict)

    def serve(self, lineups: Mapping[str, Lineup], default: str | None) -> None:
        """Take *lineups* into service, in place of all that were."""
        by_name: dict[str | None, Lineup] = dict(lineups.items())
        if default is not None and default in lineups:
            by_name[None] = lineups[default]
        self.lineups, self.default, self._by_name = lineups, default, by_name

    def find(
        self,
        name: str | None = None,
        version: int | None = None,
        precision: str | None = None,
        client: str | bytes | None = None,
    ) -> ServedModel:
        """Return the model that a request means; *client* (X-Client-ID) keeps one client on one side of a canary.

        Whoever asks reserves its places in the model's queue before it awaits anything, so that a model which is
        taken out of service still answers it. Without *version*, the active one or the canary; without *precision*,
        the one that the version is served in. Raises `NotReady`, `UnknownModel` or `BadParameter`.
        """
        lineup = self._by_name.get(name)
        if lineup is None:
            raise self._no_model(name)
        if version is None and precision is None:
            canary = lineup.canary
            return lineup.active if canary is None or not canary.takes(client) else canary.model
        return _of_version(lineup, version, precision)

    def index(self, names: Iterable[str] | None = None) -> list[VersionState]:
        """Return the state of every version that is served or in trouble, by name and version."""
        found = dict(self.others())
        for name, lineup in self.lineups.items():
            for version in {version for version, _ in lineup.versions}:
                models = [model for (number, _), model in lineup.versions.items() if number == version]
                roles = tuple(role for model in models if (role := lineup.role(model)) is not None)
                precisions = tuple(model.loaded.precision for model in models)
                reason = trouble.reason if (trouble := found.get((name, version))) else ""
                found[name, version] = VersionState(name, version, "READY", reason, precisions, roles)
        wanted = None if names is None else set(names)
        return sorted(state for state in found.values() if wanted is None or state.name in wanted)

    def _no_model(self, name: str | None) -> NotReady | BadParameter | UnknownModel:
        if not self.lineups:
            return NotReady("no model is ready yet", retry_after_s=1)
        served = ", ".join(self.lineups)
        if name is None:
            return BadParameter(f"model: required, as several are served: {served}")
        return UnknownModel(f"no model {quoted(name)} is served; there are {served}")


def _of_version(lineup: Lineup, version: int | None, precision: str | None) -> ServedModel:
    number = lineup.active.spec.version if version is None else version
    candidates = [model for (served, _), model in lineup.versions.items() if served == number]
    if not candidates:
        served = ", ".join(str(one) for one in sorted({one for one, _ in lineup.versions}))
        raise UnknownModel(f"{lineup.active.spec.name} version {number} is not served; there are {served}")
    if precision is None:  # the one in a role first
        return next((model for model in candidates if lineup.role(model) is not None), candidates[0])
    for model in candidates:
        if model.loaded.precision == precision:
            return model
    served = ", ".join(model.loaded.precision for model in candidates)
    raise UnknownModel(
        f"{lineup.active.spec.name} version {number} is not served in {quoted(precision)}; there are {served}"
    )
