"""LeNet for images of 28×28: two convolutions, three fully connected layers, sigmoid between them.

After Y. LeCun et al., "Gradient-based learning applied to document recognition", Proc. IEEE 86 (1998), in the form
that textbooks give it: max-pooling, and logits instead of radial basis functions.
"""

from torch import nn

SIDE_PX = 28  # the first fully connected layer counts on it


def lenet(num_classes: int, in_channels: int) -> nn.Module:
    """Build LeNet; 44,426 parameters with 10 classes and 1 channel."""
    net = nn.Sequential(
        nn.Conv2d(in_channels, 6, kernel_size=5),  # (N, 6, 24, 24)
        nn.Sigmoid(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, kernel_size=5),  # (N, 16, 8, 8)
        nn.Sigmoid(),
        nn.MaxPool2d(2),
        nn.Flatten(),  # (N, 256)
        nn.Linear(256, 120),
        nn.Sigmoid(),
        nn.Linear(120, 84),
        nn.Sigmoid(),
        nn.Linear(84, num_classes),
    )
    net.apply(_initialise)
    return net


def _initialise(layer: nn.Module) -> None:
    """Xavier's uniform weights: with torch's own, sigmoids saturate and the first epochs learn nothing."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
