"""The shapes of the JSON that feedback answers."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Images = Annotated[int, Field(ge=1)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=(), use_attribute_docstrings=True)


class Told(_Shape):
    """The version that classified the image, and whether it was right."""

    model: str
    version: Images
    correct: bool
    state: Literal["new", "known"]
    """`known` when this label was told before."""


class Confused(_Shape):
    """How many images of a label were found to be of a class."""

    label: str
    predicted: str
    images: Images


class VersionQuality(_Shape):
    """What the labels say of one version."""

    version: Images
    images: Images
    accuracy: Share
    calibration_error: Share
    confusion: list[Confused]


class ModelQuality(_Shape):
    """What the labels say of a model."""

    name: str
    recorded: Share
    """Part of the classified requests that is recorded."""
    versions: list[VersionQuality]
