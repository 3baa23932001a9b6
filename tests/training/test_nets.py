"""training/nets/."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from training.errors import InvalidOption, UnknownName
from training.nets import NETS, build
from training.nets.architecture import Task
from training.options import NetOptions


def parameters(net: nn.Module) -> int:
    """How many numbers are learned."""
    return sum(parameter.numel() for parameter in net.parameters())


def convolution(kernel: int, inputs: int, outputs: int) -> int:
    """k·k·c_in·c_out weights and c_out biases."""
    return kernel * kernel * inputs * outputs + outputs


def connected(*units: int) -> int:
    """Fully connected layers of *units*: each is a convolution of kernel 1 over one place."""
    return sum(convolution(1, inputs, outputs) for inputs, outputs in pairwise(units))


def test_lenet_has_44426_parameters() -> None:
    """Two convolutions and three layers for 10 classes and 1 channel of 28×28."""
    want = convolution(5, 1, 6) + convolution(5, 6, 16) + connected(256, 120, 84, 10)

    assert parameters(build("lenet", 10, 1)) == want == 44_426


def test_mnist_cnn_has_8490_parameters() -> None:
    """Two convolutions and one layer."""
    want = convolution(5, 1, 10) + convolution(5, 10, 20) + connected(320, 10)

    assert parameters(build("mnist_cnn", 10, 1)) == want == 8_490


def test_simple_cnn_has_1175818_parameters() -> None:
    """Three convolutions on 3×32×32, three layers."""
    convolutions = convolution(3, 3, 32) + convolution(3, 32, 64) + convolution(3, 64, 128)

    assert parameters(build("simple_cnn", 10, 3)) == convolutions + connected(2048, 512, 64, 10) == 1_175_818


@pytest.mark.parametrize(("in_channels", "count"), [(1, 46_764_746), (3, 46_787_978)])
def test_alexnet_has_the_parameters_of_its_layers(in_channels: int, count: int) -> None:
    """At 224×224 with 10 classes; two more channels add 2·11·11·96 weights."""
    sizes = [(11, in_channels, 96), (5, 96, 256), (3, 256, 384), (3, 384, 384), (3, 384, 256)]

    want = sum(convolution(*size) for size in sizes) + connected(256 * 5 * 5, 4096, 4096, 10)

    with torch.device("meta"):
        net = build("alexnet", 10, in_channels)

    assert parameters(net) == want == count


@pytest.mark.parametrize(
    ("name", "count"),  # of table 2 in the paper: 133, 133, 138 and 144 million
    [("vgg11", 132_863_336), ("vgg13", 133_047_848), ("vgg16", 138_357_544), ("vgg19", 143_667_240)],
)
def test_a_vgg_has_the_parameters_of_the_paper(name: str, count: int) -> None:
    """With 3 channels of 224×224 and 1000 classes; every convolution is 3×3."""
    depth = {"vgg11": "1 1 2 2 2", "vgg13": "2 2 2 2 2", "vgg16": "2 2 3 3 3", "vgg19": "2 2 4 4 4"}[name]
    channels = [3]
    for repeats, width in zip(depth.split(), (64, 128, 256, 512, 512), strict=True):
        channels += [width] * int(repeats)
    want = sum(convolution(3, *pair) for pair in pairwise(channels))

    with torch.device("meta"):
        net = build(name, 1000, 3)

    assert parameters(net) == want + connected(512 * 7 * 7, 4096, 4096, 1000) == count


def test_batch_norm_adds_a_scale_and_a_shift_for_each_map() -> None:
    """Two numbers for each of the 4,224 maps of the thirteen convolutions of vgg16."""
    plain, normed = (
        parameters(build("vgg16", 10, 3, (32, 32), NetOptions(width=0.25, batch_norm=on))) for on in (False, True)
    )

    assert normed - plain == 2 * 4224 // 4


def test_nin_has_966986_parameters() -> None:
    """Nine convolutions, six of them 1×1, and no fully connected layer."""
    want = (
        convolution(5, 3, 192)
        + connected(192, 160, 96)
        + convolution(5, 96, 192)
        + connected(192, 192, 192)
        + convolution(3, 192, 192)
        + connected(192, 192, 10)
    )
    net = build("nin", 10, 3)

    assert parameters(net) == want == 966_986
    assert not any(isinstance(layer, nn.Linear) for layer in net.modules())


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize(("num_classes", "in_channels"), [(10, 1), (3, 3)])
def test_a_net_has_the_classes_channels_and_size_asked_for(name: str, num_classes: int, in_channels: int) -> None:
    """Images (N, C, H, W) become logits (N, K), at the smallest size and at one that is not square."""
    smallest = NETS[name].min_px
    for size in ((smallest, smallest), (smallest + 5, smallest + 36)):
        net = build(name, num_classes, in_channels, size, NetOptions(width=0.1)).eval()

        assert net(torch.zeros(2, in_channels, *size)).shape == (2, num_classes)


@pytest.mark.parametrize("name", NETS)
def test_what_comes_before_the_classifier_can_be_had(name: str) -> None:
    """Every network is a body and a classifier, and nothing else."""
    net = build(name, 10, 1, (96, 96), NetOptions(width=0.25)).eval()
    images = torch.rand(2, 1, 96, 96)

    body, classifier = net.get_submodule("body"), net.get_submodule("classifier")

    assert len(net) == 2
    torch.testing.assert_close(classifier(body(images)), net(images))
    assert float(net(images).detach().std()) > 0


@pytest.mark.parametrize("name", NETS)
def test_width_multiplies_what_is_hidden(name: str) -> None:
    """Half the width is about a quarter of the parameters of a deep network, and always fewer."""
    with torch.device("meta"):
        full, half = (parameters(build(name, 10, 3, None, NetOptions(width=width))) for width in (1.0, 0.5))

    assert full / 4.1 < half < full / 1.8


def test_lenets_activation_can_be_chosen() -> None:
    """Sigmoid is its own choice."""
    for options, want in [(NetOptions(), nn.Sigmoid), (NetOptions(activation="relu"), nn.ReLU)]:
        kinds = {type(layer) for layer in build("lenet", 10, 1, None, options).modules()}
        assert kinds & {nn.Sigmoid, nn.ReLU} == {want}


def test_initial_weights_can_be_chosen() -> None:
    """The deviations are those of the formulas, for 5·5·96 inputs and 5·5·192 outputs; biases are zero."""
    fan_in, fan_out = 25 * 96, 25 * 192
    want = {"xavier": (2 / (fan_in + fan_out)) ** 0.5, "kaiming": (2 / fan_in) ** 0.5, "normal": 0.01}
    for init, deviation in want.items():
        torch.manual_seed(0)
        net = build("nin", 10, 3, None, NetOptions.model_validate({"init": init}))

        weights = net.state_dict()

        assert float(weights["body.conv2_1.weight"].std()) == pytest.approx(deviation, rel=0.02)
        assert not weights["body.conv2_1.bias"].any()


def test_an_unknown_net_is_refused_with_the_known_ones() -> None:
    """The message says what there is."""
    with pytest.raises(UnknownName, match=r"no network 'lenett'; there are: .*lenet"):
        build("lenett", 10, 1)


@pytest.mark.parametrize(
    ("name", "size", "options", "message"),
    [
        ("alexnet", (66, 224), NetOptions(), "alexnet needs images of at least 67 pixels a side, not 66×224"),
        ("lenet", None, NetOptions(batch_norm=True), "lenet has no option batch_norm; it has: activation, init, width"),
        ("nin", None, NetOptions(activation="sigmoid"), "nin has no option activation; it has: init, width"),
    ],
)
def test_what_a_net_cannot_take_is_refused(
    name: str, size: tuple[int, int] | None, options: NetOptions, message: str
) -> None:
    """By a line that names the limit."""
    with pytest.raises(InvalidOption) as caught:
        build(name, 10, 1, size, options)

    assert str(caught.value) == message


@pytest.mark.parametrize("name", sorted(set(NETS) - {"nin"}))
def test_the_smallest_size_is_the_smallest(name: str) -> None:
    """One pixel less leaves a pooling without input; nin averages over whatever is left."""
    known = NETS[name]
    task = Task(num_classes=10, in_channels=1, height=known.min_px - 1, width=known.min_px - 1)
    with pytest.raises(RuntimeError, match=r"too small|can't be greater"):
        known.build(task, NetOptions(width=0.1))
