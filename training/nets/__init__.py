"""The networks, one file each, and how they are built by name.

A network maps normalised float images (N, C, H, W) to logits (N, K); it knows neither pixels nor labels.
"""

from collections.abc import Mapping

from torch import nn

from training.errors import InvalidOption, UnknownName
from training.nets.alexnet import ALEXNET
from training.nets.architecture import Architecture, Task, initialise
from training.nets.lenet import LENET
from training.nets.mnist_cnn import MNIST_CNN
from training.nets.nin import NIN
from training.nets.simple_cnn import SIMPLE_CNN
from training.nets.vgg import VGGS
from training.options import NetOptions

NETS: Mapping[str, Architecture] = {
    "lenet": LENET,
    "mnist_cnn": MNIST_CNN,
    "simple_cnn": SIMPLE_CNN,
    "alexnet": ALEXNET,
    **VGGS,
    "nin": NIN,
}
DEFAULTS = NetOptions()


def architecture(name: str) -> Architecture:
    """Return what is known of a network; raises `UnknownName` that lists the known ones."""
    if name not in NETS:
        raise UnknownName(f"no network {name!r}; there are: {', '.join(sorted(NETS))}")
    return NETS[name]


def build(
    name: str,
    num_classes: int,
    in_channels: int,
    size: tuple[int, int] | None = None,
    options: NetOptions = DEFAULTS,
) -> nn.Sequential:
    """Return a freshly initialised network for images of *size*, (height, width), by default the published one.

    Raises `UnknownName`, or `InvalidOption` for an image that is too small or an option that the network has not.
    """
    known = architecture(name)
    height, width = size or (known.published_px, known.published_px)
    if min(height, width) < known.min_px:
        raise InvalidOption(f"{name} needs images of at least {known.min_px} pixels a side, not {height}×{width}")
    if num_classes < 1 or in_channels < 1:
        raise InvalidOption(f"{name} needs classes and channels, not {num_classes} and {in_channels}")
    chosen = {key for key, value in options if value != getattr(DEFAULTS, key)}
    if foreign := sorted(chosen - known.takes):
        raise InvalidOption(f"{name} has no option {foreign[0]}; it has: {', '.join(sorted(known.takes))}")
    resolved = options.model_copy(update={"activation": options.activation or known.activation})
    net = known.build(Task(num_classes, in_channels, height, width), resolved)
    initialise(net, options.init or known.init)
    return net
