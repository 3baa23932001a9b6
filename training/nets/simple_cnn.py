"""A plain network for small colour images: three blocks of 3×3 convolution and pooling, three layers on top."""

from torch import nn

from training.nets.architecture import Architecture, Layer, Task, activation, flat, network, scaled, stack
from training.options import NetOptions

CHANNELS, UNITS = (32, 64, 128), (512, 64)


def simple_cnn(task: Task, options: NetOptions) -> nn.Sequential:
    """Build it; 1,175,818 parameters with 10 classes and 3 channels of 32×32."""
    layers: list[Layer] = []
    inputs = task.in_channels
    for block, channels in enumerate((scaled(count, options) for count in CHANNELS), start=1):
        layers += [
            (f"conv{block}", nn.Conv2d(inputs, channels, kernel_size=3, padding=1)),
            (f"act{block}", activation(options)),
            (f"pool{block}", nn.MaxPool2d(2)),  # (N, 32, 16, 16), (N, 64, 8, 8), (N, 128, 4, 4) for 32×32
        ]
        inputs = channels
    units1, units2 = (scaled(count, options) for count in UNITS)
    body = stack(
        *layers,
        ("flatten", nn.Flatten()),  # (N, 2048)
        ("fc1", nn.Linear(flat(task, layers), units1)),
        ("act4", activation(options)),
        ("fc2", nn.Linear(units1, units2)),
        ("act5", activation(options)),
    )
    return network(body, stack(("fc3", nn.Linear(units2, task.num_classes))))


SIMPLE_CNN = Architecture(
    simple_cnn,
    published_px=32,
    min_px=8,
    activation="relu",
    init="kaiming",
    takes=frozenset({"activation", "init", "width"}),
)
