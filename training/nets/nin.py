"""Network in network: 1×1 convolutions after each convolution, a global average instead of fully connected layers.

After M. Lin, Q. Chen and S. Yan, "Network in network", ICLR 2014: the network that the authors published for CIFAR-10.
Its last activation is left off, so that a logit can be negative.
"""

from itertools import pairwise

from torch import nn

from training.nets.architecture import Architecture, Layer, Task, activation, network, scaled, stack
from training.options import NetOptions

DROPOUT = 0.5


def nin(task: Task, options: NetOptions) -> nn.Sequential:
    """Build it; 966,986 parameters with 10 classes and 3 channels of any size."""
    maps, maps2, maps3 = (scaled(count, options) for count in (192, 160, 96))
    body = stack(
        *_block(1, (task.in_channels, maps, maps2, maps3), 5, options),
        ("pool1", nn.MaxPool2d(kernel_size=3, stride=2, padding=1)),  # (N, 96, 16, 16) for 32×32
        ("drop1", nn.Dropout(DROPOUT)),
        *_block(2, (maps3, maps, maps, maps), 5, options),
        ("pool2", nn.AvgPool2d(kernel_size=3, stride=2, padding=1)),  # (N, 192, 8, 8)
        ("drop2", nn.Dropout(DROPOUT)),
        *_block(3, (maps, maps, maps), 3, options),
    )
    classifier = stack(
        ("conv3_3", nn.Conv2d(maps, task.num_classes, kernel_size=1)),  # (N, K, 8, 8)
        ("average", nn.AdaptiveAvgPool2d(1)),
        ("flatten", nn.Flatten()),
    )
    return network(body, classifier)


def _block(number: int, channels: tuple[int, ...], kernel: int, options: NetOptions) -> list[Layer]:
    """Return one convolution over the plane and 1×1 convolutions after it, each with its activation."""
    layers: list[Layer] = []
    for index, (inputs, outputs) in enumerate(pairwise(channels), start=1):
        size = kernel if index == 1 else 1
        layers += [
            (f"conv{number}_{index}", nn.Conv2d(inputs, outputs, kernel_size=size, padding=size // 2)),
            (f"act{number}_{index}", activation(options)),
        ]
    return layers


NIN = Architecture(nin, published_px=32, min_px=8, activation="relu", init="kaiming")
