"""The small network of many first lessons on MNIST: two 5×5 convolutions and one fully connected layer."""

from torch import nn

from training.nets.architecture import Architecture, Task, activation, flat, network, scaled, stack
from training.options import NetOptions


def mnist_cnn(task: Task, options: NetOptions) -> nn.Sequential:
    """Build it; 8,490 parameters with 10 classes and 1 channel of 28×28."""
    maps1, maps2 = scaled(10, options), scaled(20, options)
    layers = [
        ("conv1", nn.Conv2d(task.in_channels, maps1, kernel_size=5)),  # (N, 10, 24, 24) for 28×28
        ("pool1", nn.MaxPool2d(2)),
        ("act1", activation(options)),
        ("conv2", nn.Conv2d(maps1, maps2, kernel_size=5)),  # (N, 20, 8, 8)
        ("pool2", nn.MaxPool2d(2)),
        ("act2", activation(options)),
    ]
    body = stack(*layers, ("flatten", nn.Flatten()))  # (N, 320)
    return network(body, stack(("fc1", nn.Linear(flat(task, layers), task.num_classes))))


MNIST_CNN = Architecture(
    mnist_cnn,
    published_px=28,
    min_px=16,
    activation="relu",
    init="kaiming",
    takes=frozenset({"activation", "init", "width"}),
)
