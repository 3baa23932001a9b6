"""The module that is trained, checkpointed and exported as one: uint8 images in, logits and probabilities out.

Normalisation is its first layer, so that no caller, in any language, can get it wrong. It does not know how an image
file becomes uint8; that is models/preprocess.py.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.spec import Normalisation
from training.errors import InvalidData

SCALE = 1 / 255  # uint8 to 0..1


class Normalize(nn.Module):
    """uint8 (N, H, W, C) → float32 (N, C, H, W), `(pixel · scale − mean) / std` per channel.

    Folded into one multiplication and one addition. Its numbers are not in the state dict: the spec has them.
    """

    weight: Tensor  # (C, 1, 1)
    bias: Tensor  # (C, 1, 1)

    def __init__(self, normalisation: Normalisation) -> None:
        super().__init__()
        mean = torch.tensor(normalisation.mean, dtype=torch.float64).reshape(-1, 1, 1)
        std = torch.tensor(normalisation.std, dtype=torch.float64).reshape(-1, 1, 1)
        self.register_buffer("weight", (normalisation.scale / std).float(), persistent=False)
        self.register_buffer("bias", (-mean / std).float(), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the normalised images; the layout changes first, while a pixel is one byte."""
        return images.permute(0, 3, 1, 2).to(torch.float32) * self.weight + self.bias


class Network(nn.Module):
    """Normalisation, a net, softmax at a temperature that is 1 until calibration."""

    def __init__(self, normalisation: Normalisation, net: nn.Module) -> None:
        super().__init__()
        self.normalize = Normalize(normalisation)
        self.net = net
        self.temperature = 1.0

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map uint8 images (N, H, W, C) to logits (N, K) and probabilities (N, K)."""
        logits = self.net(self.normalize(images))
        scaled = logits if self.temperature == 1 else logits / self.temperature
        return logits, torch.softmax(scaled, dim=1)


def measure(images: Iterable[npt.NDArray[np.uint8]]) -> Normalisation:
    """Return the normalisation that gives *images*, each (H, W, C), mean 0 and standard deviation 1 per channel.

    Raises `InvalidData` if there are no images or a channel is the same everywhere.
    """
    count, total, squares = 0, np.zeros(1), np.zeros(1)
    for image in images:
        pixels = image.reshape(-1, image.shape[-1]).astype(np.float64)  # (H · W, C)
        count += len(pixels)
        total = total + pixels.sum(axis=0)
        squares = squares + (pixels * pixels).sum(axis=0)
    if not count:
        raise InvalidData("no images to measure mean and deviation on")
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean * mean, 0))
    if (std < 1e-3).any():  # of 0..255: every pixel has the same value
        raise InvalidData(f"channel {int(std.argmin())} has the same value in all pixels of all training images")
    return Normalisation(scale=SCALE, mean=_rounded(mean * SCALE), std=_rounded(std * SCALE))


def _rounded(values: npt.NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(round(value, 6) for value in values.tolist())  # what a spec shows is exactly what was used
