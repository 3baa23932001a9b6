"""The deployment: what is to be served, per model, as one JSON file that all workers of a server follow.

Nobody edits it in place: a change is read, made and renamed into place under a lock, with the next generation number.
The file of the same name and shape beside the models is only its first value. What versions exist is not known here.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.errors import ModelError
from models.spec import NAME_PATTERN, first_fault
from models.store import Precision
from service.rollout import shared_file
from service.settings import Provider

FILE = "deployment.json"
_LOCK = "deployment.lock"
Version = Annotated[int, Field(ge=1, lt=10**9)]
Share = Annotated[float, Field(ge=0, le=1)]
AnyPrecision = Literal["fp32", "fp16", "int8", "auto"]


class InvalidDeployment(ModelError):
    """A deployment file that cannot be read, or that says what cannot be."""

    code = "invalid_deployment"


class _Frozen(BaseModel):
    # JSON has no infinity: it would be written as null, which is then no limit at all
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Abort(_Frozen):
    """When a canary or shadow is taken out by itself: once *min_samples* are there, whichever limit is passed first."""

    model_config = ConfigDict(
        json_schema_extra={  # what _says_something asks for
            "anyOf": [
                {"required": [name], "properties": {name: {"type": "number"}}}
                for name in ("min_agreement", "max_divergence", "max_error_share")
            ]
        }
    )

    min_samples: Annotated[int, Field(ge=1, le=10**9)] = 100
    min_agreement: Share | None = None
    """Share of images for which it and the active version have the same class first."""
    max_divergence: Annotated[float, Field(ge=0)] | None = None
    """Mean Kullback-Leibler divergence of its probabilities from the active version's, in nats."""
    max_error_share: Share | None = None
    """Share of its images whose inference failed."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.min_agreement is None and self.max_divergence is None and self.max_error_share is None:
            raise ValueError("an abort rule needs min_agreement, max_divergence or max_error_share")
        return self


class CanaryPlan(_Frozen):
    """A version that gets *percent* of the requests that name no version."""

    version: Version
    percent: Annotated[float, Field(ge=0, le=100)]
    abort: Abort | None = None


class ShadowPlan(_Frozen):
    """A version that runs on what the active one has answered; its answers are compared and never returned."""

    version: Version
    abort: Abort | None = None


class Extra(_Frozen):
    """One more version or precision that is kept loaded, for requests that name it."""

    version: Version
    precision: Precision = "fp32"


class Aborted(_Frozen):
    """A trial that ended by its rule."""

    version: Version
    role: Literal["canary", "shadow"]
    reason: str


class ServingPlan(_Frozen):
    """How a model is served. What is None comes from the settings."""

    precision: AnyPrecision = "fp32"
    """`auto` is the fastest that passed its gate, measured when it is loaded first."""
    max_batch_size: Annotated[int, Field(ge=1, le=1024)] | None = None
    max_wait_ms: Annotated[float, Field(ge=0, le=10_000)] | None = None
    queue_capacity: Annotated[int, Field(ge=1, le=10**9)] | None = None
    device: Provider | None = None


class ModelPlan(ServingPlan):
    """What is to be served under one name."""

    active: Version | None = None
    """The version of requests that name none. None is for first values: the highest, and `follow_latest`."""
    previous: Version | None = None
    """What `rollback` makes active."""
    follow_latest: bool = False
    """A new highest version becomes active as soon as it has proved itself."""
    loaded: bool = True
    """False once the model was unloaded."""
    canary: CanaryPlan | None = None
    shadow: ShadowPlan | None = None
    aborted: Aborted | None = None
    """The last trial that ended by its rule; until the next begins."""
    extra: Annotated[tuple[Extra, ...], Field(strict=False)] = ()


class Deployment(_Frozen):
    """Everything that is to be served; the higher generation is the newer."""

    deployment_version: Literal[1] = 1
    generation: Annotated[int, Field(ge=0)] = 0
    default: str | None = None
    """The model of requests that name none, unless the settings name one."""
    models: dict[Annotated[str, Field(pattern=NAME_PATTERN)], ModelPlan] = Field(default_factory=dict)

    def with_plan(self, name: str, plan: ModelPlan) -> "Deployment":
        """Return a copy in which *name* is to be served as *plan* says."""
        return self.model_copy(update={"models": {**self.models, name: plan}})


Edit = Callable[[Deployment], Deployment]


def read(path: Path) -> Deployment | None:
    """Return the deployment in a file, None if there is no such file; raises `InvalidDeployment` that names it."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidDeployment(f"{path}: {error.strerror}") from error
    try:
        return Deployment.model_validate_json(content)
    except ValidationError as error:
        raise InvalidDeployment(f"{path}: {first_fault(error)}") from error


class DeploymentFile:
    """The live deployment in a state folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._lock = folder / _LOCK

    def read(self) -> Deployment | None:
        """Return what is to be served, None before the first `change`; raises `InvalidDeployment`."""
        return read(self.path)

    def stamp(self) -> tuple[int, int, int] | None:
        """Return what changes whenever the file does; cheap enough to be asked ten times a second."""
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    def change(self, edit: Edit) -> Deployment:
        """Apply *edit* to the newest deployment and write the result with the next generation number.

        Whoever changes it at the same time comes before or after, never in between; what *edit* raises leaves it as
        it was. An edit that changes nothing writes nothing.
        """
        with shared_file.locked(self._lock):
            before = self.read()
            after = edit(before or Deployment())
            if before is not None and after == before:
                return before
            after = after.model_copy(update={"generation": (before.generation if before else 0) + 1})
            shared_file.replace(self.path, after.model_dump_json(indent=2, exclude_defaults=False) + "\n")
            return after
