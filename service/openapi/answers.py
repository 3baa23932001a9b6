"""The shapes of the JSON that `/v1` answers, as pydantic models: for the document alone, not on a request's way."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.spec import ModelSpec, Quality
from models.store import Precision

Probability = Annotated[float, Field(ge=0, le=1)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=(), use_attribute_docstrings=True)


class Failure(_Shape):
    """The one shape that every error has."""

    error: str
    """One line for people: what is wrong, and the limit that it exceeds."""
    code: str
    """Stable, for programs."""
    request_id: str


class Identity(_Shape):
    """The model that made an answer."""

    name: str
    version: Annotated[int, Field(ge=1)]
    precision: Precision


class Prediction(_Shape):
    """One class with its probability."""

    label: str
    class_id: Annotated[int, Field(ge=0)]
    probability: Probability


class Predictions(_Shape):
    """What the model says of one image, best first."""

    predictions: Annotated[list[Prediction], Field(min_length=1)]
    abstained: bool | None = None
    """Where a threshold was given: whether even the best prediction is below it."""


class Refused(_Shape):
    """Why one image of several has no predictions; its neighbours have theirs."""

    error: str
    code: str


class ClassifiedOne(Predictions):
    """The answer to one image."""

    request_id: str
    model: Identity


class ClassifiedSeveral(_Shape):
    """The answer to several images, in their order."""

    request_id: str
    model: Identity
    results: Annotated[list[Predictions | Refused], Field(min_length=1)]


class VersionState(_Shape):
    """One version of a model, served or not."""

    version: Annotated[int, Field(ge=1)]
    state: Literal["READY", "LOADING", "UNAVAILABLE"]
    precisions: list[Precision]
    """Those that are served."""
    roles: list[Literal["active", "canary", "shadow"]]
    reason: str | None = None
    """Why it is not served."""


class ModelSummary(_Shape):
    """A model: its active version, and the state of all."""

    name: str
    state: Literal["READY", "UNAVAILABLE"]
    versions: list[VersionState]
    version: int | None = None
    precision: Precision | None = None
    sha256: str | None = None
    """Of the model file."""
    provider: str | None = None
    """The execution provider that it runs on."""
    nodes: dict[str, int] | None = None
    """How many nodes of the graph each execution provider got."""
    classes: int | None = None
    quality: Quality | None = None
    canary_percent: float | None = None


class ModelDetails(ModelSummary):
    """A model with its labels and its whole spec."""

    labels: list[str] | None = None
    spec: ModelSpec | None = None


class ModelList(_Shape):
    """All models."""

    models: list[ModelSummary]


class Live(_Shape):
    """The worker answers."""

    live: Literal[True]


class Ready(_Shape):
    """Requests are welcome."""

    ready: Literal[True]


class TrialFigures(_Shape):
    """What was counted of one version in one role, by all workers since the server's start."""

    version: int
    requests: int
    images: int
    errors: int
    compared: int
    agreement: float | None = None
    divergence: float | None = None


class Trial(_Shape):
    """The figures of a model's active version, canary and shadow; empty without the last two."""

    name: str
    roles: dict[Literal["active", "canary", "shadow"], TrialFigures]


class Labels(_Shape):
    """The labels of a model's active version, in the order of class_id."""

    name: str
    version: int
    labels: list[str]


class Embedding(_Shape):
    """What the classifier sees of one image."""

    embedding: list[float]


class EmbeddedOne(Embedding):
    """The answer to one image."""

    request_id: str
    model: Identity


class EmbeddedSeveral(_Shape):
    """The answer to several images, in their order."""

    request_id: str
    model: Identity
    results: Annotated[list[Embedding | Refused], Field(min_length=1)]
