"""The options of a network, as a checkpoint stores them and the command line gives them. Knows no torch.

A value of None is the network's own choice, which stands in its file under `nets/`.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Activation = Literal["sigmoid", "relu"]
Initialisation = Literal["xavier", "kaiming", "normal"]
Mode = Literal["L", "RGB"]
Resize = Literal["stretch", "shorter_side"]


class NetOptions(BaseModel):
    """What can be chosen of a network beside its classes, channels and input size."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    activation: Activation | None = None
    init: Initialisation | None = None
    width: Annotated[float, Field(gt=0, le=4)] = 1.0  # multiplies the channels and units of every hidden layer
    batch_norm: bool = False


class DataOptions(BaseModel):
    """What can be chosen of a data set: the geometry that its images are brought to, and what a damaged one means.

    A value of None is the data set's own choice.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Annotated[int, Field(ge=1, le=4096)] | None = None  # pixels a side
    at_least: int = 1  # the same, where the data set's own choice is smaller
    mode: Mode | None = None
    resize: Resize | None = None
    jpeg_draft: bool | None = None
    strict: bool = False  # an image that cannot be decoded stops, instead of being left out


def dataset_name(source: str) -> str:
    """Return the name of the data set `kind` or `kind:PATH`, without the place where it lies on this machine."""
    kind, _, place = source.partition(":")
    return Path(place).name if kind == "folder" else kind
