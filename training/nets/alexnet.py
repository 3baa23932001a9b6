"""AlexNet: five convolutions and three fully connected layers, on one device.

After A. Krizhevsky, I. Sutskever and G. E. Hinton, "ImageNet classification with deep convolutional neural networks",
NIPS 2012, in the form that textbooks give it: no split over two devices, no local response normalisation.
"""

from torch import nn

from training.nets.architecture import Architecture, Task, activation, flat, network, scaled, stack
from training.options import NetOptions

DROPOUT = 0.5


def alexnet(task: Task, options: NetOptions) -> nn.Sequential:
    """Build AlexNet; 46,764,746 parameters with 10 classes and 1 channel of 224×224."""
    maps1, maps2, maps3, units = (scaled(count, options) for count in (96, 256, 384, 4096))
    layers = [
        ("conv1", nn.Conv2d(task.in_channels, maps1, kernel_size=11, stride=4)),  # (N, 96, 54, 54) for 224×224
        ("act1", activation(options)),
        ("pool1", nn.MaxPool2d(kernel_size=3, stride=2)),  # (N, 96, 26, 26)
        ("conv2", nn.Conv2d(maps1, maps2, kernel_size=5, padding=2)),
        ("act2", activation(options)),
        ("pool2", nn.MaxPool2d(kernel_size=3, stride=2)),  # (N, 256, 12, 12)
        ("conv3", nn.Conv2d(maps2, maps3, kernel_size=3, padding=1)),
        ("act3", activation(options)),
        ("conv4", nn.Conv2d(maps3, maps3, kernel_size=3, padding=1)),
        ("act4", activation(options)),
        ("conv5", nn.Conv2d(maps3, maps2, kernel_size=3, padding=1)),
        ("act5", activation(options)),
        ("pool5", nn.MaxPool2d(kernel_size=3, stride=2)),  # (N, 256, 5, 5)
    ]
    body = stack(
        *layers,
        ("flatten", nn.Flatten()),  # (N, 6400)
        ("fc6", nn.Linear(flat(task, layers), units)),
        ("act6", activation(options)),
        ("drop6", nn.Dropout(DROPOUT)),
        ("fc7", nn.Linear(units, units)),
        ("act7", activation(options)),
        ("drop7", nn.Dropout(DROPOUT)),
    )
    return network(body, stack(("fc8", nn.Linear(units, task.num_classes))))


ALEXNET = Architecture(alexnet, published_px=224, min_px=67, activation="relu", init="kaiming")
