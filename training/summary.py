"""What a network is made of and what it costs: for each layer its output, parameters, multiply-adds, receptive field.

The network is built without weights and run without arithmetic (torch's meta device), so that large ones are described
as fast as small ones. How the table looks is the command line's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.errors import InvalidOption
from training.nets import DEFAULTS, architecture, build
from training.options import NetOptions

Window = tuple[int, int]  # kernel and stride of a layer that slides over the plane


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer; `output` is (C, H, W) or (F,), `receptive_field` a side in pixels, None for the whole image."""

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int
    receptive_field: int | None


def out_side(side: int, kernel: int, stride: int = 1, padding: int = 0) -> int:
    """Return `⌊(in + 2p − k)/s⌋ + 1`: V. Dumoulin and F. Visin, arXiv:1603.07285, relationship 6."""
    return math.floor((side + 2 * padding - kernel) / stride) + 1


def convolution_parameters(kernel: int, c_in: int, c_out: int) -> int:
    """Return `k·k·c_in·c_out + c_out`: a weight for each input of each map, and its bias. Connected layers: k = 1."""
    return kernel * kernel * c_in * c_out + c_out


def convolution_multiply_adds(kernel: int, c_in: int, c_out: int, places: int) -> int:
    """Return `k·k·c_in·c_out` for each of *places*, H·W of the output.

    P. Molchanov et al., "Pruning convolutional neural networks for resource efficient inference", ICLR 2017, A.1,
    without the bias and not doubled.
    """
    return kernel * kernel * c_in * c_out * places


def receptive_field(windows: Sequence[Window]) -> int:
    """Return the side, in input pixels, of what one value after layers of (kernel, stride) depends on.

    `F(i) = (F(i+1) − 1)·stride + k`, from the last layer, where F is 1, back to the first: A. Araujo, W. Norris and
    J. Sim, "Computing receptive fields of convolutional neural networks", Distill 2019, equation 2.
    """
    field = 1
    for kernel, stride in reversed(windows):
        field = (field - 1) * stride + kernel
    return field


def summarise(
    name: str,
    num_classes: int,
    in_channels: int,
    size: tuple[int, int] | None = None,
    options: NetOptions = DEFAULTS,
) -> list[Layer]:
    """Describe a network, layer by layer in the order of its work; raises `UnknownName` or `InvalidOption`."""
    if in_channels not in (1, 3):
        raise InvalidOption(f"images have 1 channel (grey) or 3 (RGB), not {in_channels}")
    published_px = architecture(name).published_px
    size = size or (published_px, published_px)
    with torch.device("meta"):
        net = build(name, num_classes, in_channels, size, options).eval()
        images = torch.empty(1, in_channels, *size)
    layers: list[Layer] = []
    windows: list[Window] | None = []  # None once a value depends on all pixels
    for layer_name, layer in _leaves(net):
        outputs = layer(images)
        windows = None if windows is None or _sees_all(layer) else [*windows, *_window(layer)]
        layers.append(
            Layer(
                name=layer_name,
                kind=type(layer).__name__,
                output=tuple(outputs.shape[1:]),
                parameters=sum(parameter.numel() for parameter in layer.parameters()),
                multiply_adds=_multiply_adds(layer, outputs),
                receptive_field=None if windows is None else receptive_field(windows),
            )
        )
        images = outputs
    return layers


def _leaves(net: nn.Sequential) -> list[tuple[str, nn.Module]]:
    """Return the layers of a network, all of whose parts are sequences."""
    return [(name, layer) for part in net.children() for name, layer in part.named_children()]


def _sees_all(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Linear | nn.Flatten | nn.AdaptiveAvgPool2d)


def _window(layer: nn.Module) -> list[Window]:
    """Return kernel and stride of a layer, nothing for one that works on each value alone."""
    if isinstance(layer, nn.Conv2d):
        return [(layer.kernel_size[0], layer.stride[0])]
    if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
        kernel, stride = layer.kernel_size, layer.stride
        return [(_side(kernel), _side(stride))]
    return []


def _side(value: int | tuple[int, ...]) -> int:
    return value if isinstance(value, int) else value[0]


def _multiply_adds(layer: nn.Module, outputs: Tensor) -> int:
    """Count those of convolutions and connected layers; all else is small beside them."""
    if isinstance(layer, nn.Conv2d):
        places = outputs.shape[2] * outputs.shape[3]
        return convolution_multiply_adds(layer.kernel_size[0], layer.in_channels, layer.out_channels, places)
    if isinstance(layer, nn.Linear):
        return convolution_multiply_adds(1, layer.in_features, layer.out_features, 1)
    return 0
