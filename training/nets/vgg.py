"""The VGG networks: blocks of 3×3 convolutions that end in a pooling each, then three fully connected layers.

After K. Simonyan and A. Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015,
table 1, configurations A, B, D and E.
"""

from collections.abc import Mapping
from functools import partial

from torch import nn

from training.nets.architecture import Architecture, Layer, Task, activation, flat, network, scaled, stack
from training.options import NetOptions

CHANNELS = (64, 128, 256, 512, 512)  # of the five blocks
CONVOLUTIONS: Mapping[str, tuple[int, ...]] = {  # in each block
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
UNITS = 4096
DROPOUT = 0.5


def vgg(task: Task, options: NetOptions, *, convolutions: tuple[int, ...]) -> nn.Sequential:
    """Build a VGG; 138,357,544 parameters for vgg16 with 1000 classes and 3 channels of 224×224."""
    layers: list[Layer] = []
    inputs = task.in_channels
    for block, (count, channels) in enumerate(zip(convolutions, CHANNELS, strict=True), start=1):
        outputs = scaled(channels, options)
        for index in range(1, count + 1):
            layers += _convolution(f"{block}_{index}", inputs, outputs, options)
            inputs = outputs
        layers.append((f"pool{block}", nn.MaxPool2d(2)))  # halves the sides: (N, 512, 7, 7) in the end, for 224×224
    units = scaled(UNITS, options)
    body = stack(
        *layers,
        ("flatten", nn.Flatten()),  # (N, 25088)
        ("fc6", nn.Linear(flat(task, layers), units)),
        ("act6", activation(options)),
        ("drop6", nn.Dropout(DROPOUT)),
        ("fc7", nn.Linear(units, units)),
        ("act7", activation(options)),
        ("drop7", nn.Dropout(DROPOUT)),
    )
    return network(body, stack(("fc8", nn.Linear(units, task.num_classes))))


def _convolution(name: str, inputs: int, outputs: int, options: NetOptions) -> list[Layer]:
    layers: list[Layer] = [(f"conv{name}", nn.Conv2d(inputs, outputs, kernel_size=3, padding=1))]
    if options.batch_norm:
        layers.append((f"norm{name}", nn.BatchNorm2d(outputs)))
    return [*layers, (f"act{name}", activation(options))]


VGGS: Mapping[str, Architecture] = {
    name: Architecture(
        partial(vgg, convolutions=convolutions),
        published_px=224,
        min_px=32,
        activation="relu",
        init="kaiming",
        takes=frozenset({"init", "width", "batch_norm"}),
    )
    for name, convolutions in CONVOLUTIONS.items()
}
