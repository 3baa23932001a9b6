"""training/nets/."""

import pytest
import torch

from training.errors import UnknownName
from training.nets import build


def test_lenet_has_44426_parameters() -> None:
    """6·(25+1) + 16·(6·25+1) + 120·(256+1) + 84·(120+1) + 10·(84+1)."""
    net = build("lenet", num_classes=10, in_channels=1)

    assert sum(parameter.numel() for parameter in net.parameters()) == 156 + 2_416 + 30_840 + 10_164 + 850 == 44_426


@pytest.mark.parametrize(("num_classes", "in_channels"), [(10, 1), (3, 3)])
def test_a_net_has_the_classes_and_channels_asked_for(num_classes: int, in_channels: int) -> None:
    """Images (N, C, 28, 28) become logits (N, K)."""
    net = build("lenet", num_classes, in_channels)

    assert net(torch.zeros(2, in_channels, 28, 28)).shape == (2, num_classes)


def test_an_unknown_net_is_refused_with_the_known_ones() -> None:
    """The message says what there is."""
    with pytest.raises(UnknownName, match=r"no network 'lenett'; there are: .*lenet"):
        build("lenett", 10, 1)
