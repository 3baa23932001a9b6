"""Expected calibration error of what feedback has told: how far confidence is from being right, in 15 bins.

Source: C. Guo et al., "On calibration of modern neural networks", 2017, the bins of which are those of training.
"""

import math
from collections.abc import Mapping
from typing import Final

from service.families import CALIBRATION

BINS: Final = 15
SIZE: Final = 3 * BINS  # images, sum of their confidence, how many were right
Merged = Mapping[str, Mapping[tuple[str, ...], tuple[float, ...]]]


def bin_of(confidence: float) -> int:
    """Return the bin, (low, high], that a confidence falls into."""
    return min(BINS, max(1, math.ceil(confidence * BINS))) - 1


def error(values: tuple[float, ...]) -> float | None:
    """Return the error of `SIZE` values as laid out above, None without images."""
    images, confidence, right = values[:BINS], values[BINS : 2 * BINS], values[2 * BINS :]
    if not (total := sum(images)):
        return None
    return sum(abs(c - r) for c, r in zip(confidence, right, strict=True)) / total


def gauges(merged: Merged) -> dict[tuple[str, ...], tuple[float, ...]]:
    """Return the values of `classifier_feedback_calibration_error` for every version that feedback came for."""
    found = {labels: error(values) for labels, values in merged.get(CALIBRATION.name, {}).items()}
    return {labels: (value,) for labels, value in found.items() if value is not None}


def count(values: list[float], confidence: float, *, right: bool) -> None:
    """Add an image to `SIZE` values."""
    for i, amount in enumerate((1.0, confidence, float(right))):
        values[i * BINS + bin_of(confidence)] += amount
