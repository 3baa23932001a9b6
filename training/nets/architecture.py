"""What all networks are made of: the task that they are built for, named layers, widths, initial weights.

Every network is `body` (images to what is known of them) followed by `classifier` (that to logits). It knows no
network in particular.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.options import Activation, Initialisation, NetOptions

Layer = tuple[str, nn.Module]
ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU}


@dataclass(frozen=True, slots=True)
class Task:
    """What goes in, float (N, in_channels, height, width), and how many classes come out."""

    num_classes: int
    in_channels: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network that can be built: its builder, its smallest and its published input side, its own choices."""

    build: Callable[[Task, NetOptions], nn.Sequential]
    published_px: int
    min_px: int
    activation: Activation
    init: Initialisation
    takes: frozenset[str] = frozenset({"init", "width"})  # the options that mean something to it


def stack(*layers: Layer) -> nn.Sequential:
    """Chain layers under the names that a summary shows and a state dict keeps."""
    return nn.Sequential(OrderedDict(layers))


def network(body: nn.Module, classifier: nn.Module) -> nn.Sequential:
    """Join the two parts of a network."""
    return stack(("body", body), ("classifier", classifier))


def activation(options: NetOptions) -> nn.Module:
    """Return a new layer of the activation that was chosen; ReLU if none was."""
    return ACTIVATIONS[options.activation or "relu"]()


def scaled(count: int, options: NetOptions) -> int:
    """Return the channels or units of a hidden layer that has *count* of them at width 1; never less than 1."""
    return max(1, round(count * options.width))


def flat(task: Task, layers: Iterable[Layer]) -> int:
    """Return how many numbers *layers* make of one image: the inputs of the first fully connected layer."""
    images = torch.empty(1, task.in_channels, task.height, task.width, device="meta")  # shapes without arithmetic
    features: Tensor = deepcopy(stack(*layers)).to("meta")(images)
    return features.numel()


def initialise(net: nn.Module, kind: Initialisation) -> None:
    """Give every convolution and fully connected layer new weights, and zero for a bias.

    `xavier`: uniform, X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010. `kaiming`: normal, fan-in, gain √2, K. He et al., "Delving deep into rectifiers", ICCV
    2015. `normal`: deviation 0.01, A. Krizhevsky et al., "ImageNet classification with deep convolutional neural
    networks", NIPS 2012.
    """
    for layer in net.modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        if kind == "xavier":
            nn.init.xavier_uniform_(layer.weight)
        elif kind == "kaiming":
            nn.init.kaiming_normal_(layer.weight, a=0, nonlinearity="relu")
        else:
            nn.init.normal_(layer.weight, std=0.01)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
