"""training/summary.py: the four formulas, on VGG16 and on every other network."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from training.errors import InvalidOption, UnknownName
from training.nets import NETS, build
from training.options import NetOptions
from training.summary import (
    Layer,
    convolution_multiply_adds,
    convolution_parameters,
    out_side,
    receptive_field,
    summarise,
)


@pytest.fixture(scope="module")
def vgg16() -> dict[str, Layer]:
    """The layers of VGG16 as published, by name."""
    return {layer.name: layer for layer in summarise("vgg16", 1000, 3)}


def test_the_receptive_field_of_vgg16s_last_pooling_is_212(vgg16: dict[str, Layer]) -> None:
    """A 3×3 convolution adds two strides, a pooling one; after it, all pixels count."""
    blocks = [[(3, 1)] * count + [(2, 2)] for count in (2, 2, 3, 3, 3)]
    ends = [receptive_field(sum(blocks[:end], [])) for end in range(1, 6)]  # noqa: RUF017 - five short lists

    assert ends == [6, 16, 44, 100, 212]
    assert [vgg16[f"pool{block}"].receptive_field for block in range(1, 6)] == ends
    assert vgg16["fc6"].receptive_field is None


def test_the_receptive_field_is_what_a_gradient_reaches() -> None:
    """Of alexnet's third convolution: as far as the formula says, to the pixel."""
    net = build("alexnet", 10, 1, (227, 227), NetOptions(width=0.05)).get_submodule("body")
    fields = {layer.name: layer.receptive_field for layer in summarise("alexnet", 10, 1)}
    images = torch.rand(1, 1, 227, 227, requires_grad=True)
    values = images
    for name in ("conv1", "pool1", "conv2", "pool2", "conv3"):
        values = everywhere(net.get_submodule(name))(values)

    middle = values.shape[2] // 2
    (gradient,) = torch.autograd.grad(values[0, :, middle, middle].sum(), images)

    rows = gradient[0, 0].abs().sum(dim=1).nonzero()
    assert int(rows.max() - rows.min()) + 1 == fields["conv3"] == 99


def everywhere(layer: nn.Module) -> nn.Module:
    """A layer with the same window that lets every input of it matter: ones for weights, means for maxima."""
    if isinstance(layer, nn.MaxPool2d):
        return nn.AvgPool2d(layer.kernel_size, layer.stride)
    if isinstance(layer, nn.Conv2d):
        nn.init.ones_(layer.weight)
    return layer


def test_sides_of_vgg16_are_halved_by_each_pooling_only(vgg16: dict[str, Layer]) -> None:
    """3×3 with padding 1 keeps 224; 2×2 over 2 halves it, five times."""
    side = 224
    for block in range(1, 6):
        assert out_side(side, kernel=3, padding=1) == side == vgg16[f"conv{block}_1"].output[1]
        side = out_side(side, kernel=2, stride=2)
        assert vgg16[f"pool{block}"].output[1:] == (side, side)
    assert side == 7


@pytest.mark.parametrize("name", NETS)
def test_sides_follow_the_formula(name: str) -> None:
    """Every convolution and pooling of every net, on an odd side."""
    side = 97
    net = build(name, 10, 1, (side, side), NetOptions(width=0.1)).eval()
    outputs = {layer.name: layer.output for layer in summarise(name, 10, 1, (side, side), NetOptions(width=0.1))}
    for layer_name, layer in net.get_submodule("body").named_children():
        if isinstance(layer, nn.Conv2d):
            side = out_side(side, layer.kernel_size[0], layer.stride[0], int(layer.padding[0]))
            assert outputs[layer_name] == (layer.out_channels, side, side)
        elif isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
            side = out_side(side, int(layer.kernel_size), int(layer.stride), int(layer.padding))  # type: ignore[arg-type] # all are square
            assert outputs[layer_name][1:] == (side, side)


def test_parameters_of_vgg16_follow_the_formula(vgg16: dict[str, Layer]) -> None:
    """Each convolution's, each connected layer's, and their sum."""
    assert vgg16["conv1_1"].parameters == convolution_parameters(3, 3, 64) == 1_792
    assert vgg16["conv5_3"].parameters == convolution_parameters(3, 512, 512) == 2_359_808
    assert vgg16["fc6"].parameters == convolution_parameters(1, 512 * 7 * 7, 4096) == 102_764_544
    assert sum(layer.parameters for layer in vgg16.values()) == 138_357_544


def test_multiply_adds_of_vgg16_follow_the_formula(vgg16: dict[str, Layer]) -> None:
    """15.47 billion: the number that its readers know."""
    assert vgg16["conv1_2"].multiply_adds == convolution_multiply_adds(3, 64, 64, 224 * 224) == 1_849_688_064
    assert vgg16["fc8"].multiply_adds == 4096 * 1000
    assert sum(layer.multiply_adds for layer in vgg16.values()) == 15_470_264_320


@pytest.mark.parametrize("name", NETS)
def test_multiply_adds_are_half_of_what_torch_counts(name: str) -> None:
    """Torch's own counter takes a multiplication and an addition for two operations."""
    options = NetOptions(width=0.25)
    net = build(name, 10, 3, (96, 96), options).eval()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        net(torch.zeros(1, 3, 96, 96))

    layers = summarise(name, 10, 3, (96, 96), options)

    assert sum(layer.multiply_adds for layer in layers) == counter.get_total_flops() // 2
    assert sum(layer.parameters for layer in layers) == sum(parameter.numel() for parameter in net.parameters())


def test_what_there_is_none_of_is_refused() -> None:
    """A net, a number of channels."""
    with pytest.raises(UnknownName):
        summarise("vgg17", 10, 3)
    with pytest.raises(InvalidOption, match=r"images have 1 channel \(grey\) or 3 \(RGB\), not 2"):
        summarise("vgg16", 10, 2)
