"""The options of a network, as a checkpoint stores them and the command line gives them. Knows no torch.

A value of None is the network's own choice, which stands in its file under `nets/`.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Activation = Literal["sigmoid", "relu"]
Initialisation = Literal["xavier", "kaiming", "normal"]


class NetOptions(BaseModel):
    """What can be chosen of a network beside its classes, channels and input size."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    activation: Activation | None = None
    init: Initialisation | None = None
    width: Annotated[float, Field(gt=0, le=4)] = 1.0  # multiplies the channels and units of every hidden layer
    batch_norm: bool = False
