"""The networks, one file each, and how they are built by name.

A network maps normalised float images (N, C, H, W) to logits (N, K); it knows neither pixels nor labels.
"""

from collections.abc import Callable, Mapping

from torch import nn

from training.errors import UnknownName
from training.nets.lenet import lenet

NETS: Mapping[str, Callable[[int, int], nn.Module]] = {"lenet": lenet}


def build(name: str, num_classes: int, in_channels: int) -> nn.Module:
    """Return a freshly initialised network; raises `UnknownName` that lists the known ones."""
    if name not in NETS:
        raise UnknownName(f"no network {name!r}; there are: {', '.join(sorted(NETS))}")
    return NETS[name](num_classes, in_channels)
