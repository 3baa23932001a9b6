"""LeNet: two convolutions, three fully connected layers, sigmoid between them (or ReLU).

After Y. LeCun et al., "Gradient-based learning applied to document recognition", Proc. IEEE 86 (1998), in the form
that textbooks give it: max-pooling, and logits instead of radial basis functions.
"""

from torch import nn

from training.nets.architecture import Architecture, Task, activation, flat, network, scaled, stack
from training.options import NetOptions


def lenet(task: Task, options: NetOptions) -> nn.Sequential:
    """Build LeNet; 44,426 parameters with 10 classes and 1 channel of 28×28."""
    maps1, maps2, units1, units2 = (scaled(count, options) for count in (6, 16, 120, 84))
    layers = [
        ("conv1", nn.Conv2d(task.in_channels, maps1, kernel_size=5)),  # (N, 6, 24, 24) for 28×28
        ("act1", activation(options)),
        ("pool1", nn.MaxPool2d(2)),
        ("conv2", nn.Conv2d(maps1, maps2, kernel_size=5)),  # (N, 16, 8, 8)
        ("act2", activation(options)),
        ("pool2", nn.MaxPool2d(2)),
    ]
    body = stack(
        *layers,
        ("flatten", nn.Flatten()),  # (N, 256)
        ("fc1", nn.Linear(flat(task, layers), units1)),
        ("act3", activation(options)),
        ("fc2", nn.Linear(units1, units2)),
        ("act4", activation(options)),
    )
    return network(body, stack(("fc3", nn.Linear(units2, task.num_classes))))


# Xavier's weights: with torch's own, sigmoids saturate and the first epochs learn nothing.
LENET = Architecture(
    lenet,
    published_px=28,
    min_px=16,
    activation="sigmoid",
    init="xavier",
    takes=frozenset({"activation", "init", "width"}),
)
