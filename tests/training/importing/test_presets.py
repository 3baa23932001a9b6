"""training/importing/presets.py."""

import pytest

from training.errors import InvalidImport
from training.importing.presets import normalisation


def test_presets_are_what_networks_were_trained_with() -> None:
    """In pixels: a grey of 124 is about the mean of ImageNet either way."""
    torchvision, caffe = normalisation("imagenet-mean-std", 3), normalisation("imagenet-mean", 3)

    assert torchvision.mean[0] / torchvision.scale == pytest.approx(caffe.mean[0], abs=0.01)
    assert normalisation("zero-one", 1).mean == (0,)
    assert normalisation("zero-one", 3).std == (1, 1, 1)
    assert normalisation("custom", 3, (0.5,), (0.5,)).mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("preset", "channels", "mean", "says"),
    [
        ("imagenet", 3, (), "no preset 'imagenet'; there are: imagenet-mean, imagenet-mean-std, zero-one, custom"),
        ("imagenet-mean-std", 1, (), "is for 3 channels, but the network takes 1"),
        ("custom", 3, (), "mean and std are for the preset custom, and required there"),
        ("zero-one", 3, (0.5,), "mean and std are for the preset custom, and required there"),
        ("custom", 3, (0.5, 0.5), "is for 2 channels, but the network takes 3"),
    ],
)
def test_what_does_not_fit_is_refused(preset: str, channels: int, mean: tuple[float, ...], says: str) -> None:
    """With what would."""
    with pytest.raises(InvalidImport, match=says):
        normalisation(preset, channels, mean)
