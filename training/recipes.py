"""What a run does unless told otherwise: for each net how it learns, for each data set how its images are varied.

The recipes were chosen by validation accuracy on the digits, with two cores and two minutes in mind: that is why the
larger nets are narrow here. `--width 1` makes them as wide as their papers. Knows no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a net learns."""

    epochs: int
    learning_rate: float  # the peak of the one-cycle schedule
    min_px: int  # side of the images, if those of the data set are smaller
    batch_size: int = 32
    weight_decay: float = 0.01
    width: float = 1.0
    batch_norm: bool = False


@dataclass(frozen=True, slots=True)
class Variety:
    """How the training images of a data set are varied; see `training/augment.py`."""

    shift: float = 0.0
    zoom: float = 0.0
    rotate_deg: float = 0.0
    flip: bool = False
    crop: float = 1.0
    colour: float = 0.0


RECIPES: Mapping[str, Recipe] = {
    "lenet": Recipe(epochs=60, learning_rate=0.01, min_px=28),
    "mnist_cnn": Recipe(epochs=20, learning_rate=0.005, min_px=28),
    "simple_cnn": Recipe(epochs=8, learning_rate=0.001, min_px=32),
    "alexnet": Recipe(epochs=10, learning_rate=0.001, min_px=67, width=0.25),
    "vgg11": Recipe(epochs=8, learning_rate=0.001, min_px=32, width=0.25),
    "vgg13": Recipe(epochs=8, learning_rate=0.001, min_px=32, width=0.25),
    "vgg16": Recipe(epochs=10, learning_rate=0.0005, min_px=32, width=0.25),
    "vgg19": Recipe(epochs=10, learning_rate=0.0005, min_px=32, width=0.25),
    "nin": Recipe(epochs=15, learning_rate=0.005, min_px=28, width=0.25),
}
_WRITING = Variety(shift=0.1, zoom=0.1, rotate_deg=8.0)
VARIETIES: Mapping[str, Variety] = {
    "digits": _WRITING,
    "mnist": _WRITING,
    "fashion-mnist": Variety(shift=0.1, flip=True),
    "cifar10": Variety(flip=True, crop=0.6),
    "folder": Variety(flip=True, crop=0.4, colour=0.2),
}


def recipe(net: str) -> Recipe:
    """Return the recipe of a net; LeNet's for a name that is none, which `build` refuses."""
    return RECIPES.get(net, RECIPES["lenet"])


def variety(source: str) -> Variety:
    """Return how the images of `kind` or `kind:PATH` are varied; not at all for a name that is none."""
    return VARIETIES.get(source.partition(":")[0], Variety())
