"""The normalisations that classifiers are commonly trained with, by name. Knows no ONNX and no torch."""

from collections.abc import Mapping

from models.spec import Normalisation
from training.errors import InvalidImport

_ONE = 1 / 255  # uint8 to 0..1

# What torchvision's models want; Caffe's and Keras' VGG (where `--bgr` is usual); 0..1 alone.
PRESETS: Mapping[str, Normalisation] = {
    "imagenet-mean-std": Normalisation(scale=_ONE, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    "imagenet-mean": Normalisation(scale=1, mean=(123.68, 116.779, 103.939), std=(1, 1, 1)),
    "zero-one": Normalisation(scale=_ONE, mean=(0,), std=(1,)),
}


def normalisation(
    preset: str, channels: int, mean: tuple[float, ...] = (), std: tuple[float, ...] = ()
) -> Normalisation:
    """Return the normalisation of *preset*, or of `custom` *mean* and *std* (of values in 0..1), for so many channels.

    Raises `InvalidImport`.
    """
    if (preset == "custom") != bool(mean or std):
        raise InvalidImport("mean and std are for the preset custom, and required there")
    if preset == "custom":
        chosen = Normalisation(scale=_ONE, mean=mean or (0.0,), std=std or (1.0,))
    elif preset in PRESETS:
        chosen = PRESETS[preset]
    else:
        raise InvalidImport(f"no preset {preset!r}; there are: {', '.join(sorted(PRESETS))}, custom")
    lengths = {len(chosen.mean), len(chosen.std)} - {1, channels}
    if lengths:
        raise InvalidImport(f"preset {preset} is for {lengths.pop()} channels, but the network takes {channels}")
    return Normalisation(scale=chosen.scale, mean=_spread(chosen.mean, channels), std=_spread(chosen.std, channels))


def _spread(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    return values * channels if len(values) == 1 else values
