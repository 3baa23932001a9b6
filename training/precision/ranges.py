"""From which value to which 256 steps shall reach: what a graph's values were on images, and ranges that suit them.

Knows counts of values and nothing of graphs. The methods are those of Wu et al. 2020, "Integer quantization for deep
learning inference" (section 4); least squares is from Choukroun et al. 2019, "Low-bit quantization of neural networks".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

BINS = 8192  # of a histogram, both signs
COUNTED = 2**20  # values of an array, at even distances: millions more would not move a bin
LEVELS = 255  # steps of an 8-bit range
CLIPS = np.linspace(0.2, 1, 81)  # of the largest magnitude: where least squares looks

Range = tuple[float, float]


@dataclass(slots=True)
class Histogram:
    """How often a value was what; the bins grow with what is added, and are symmetric around zero."""

    low: float = np.inf
    high: float = -np.inf
    limit: float = 0.0  # the bins reach from -limit to limit
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))

    def add(self, values: npt.NDArray[np.float32]) -> None:
        """Count *values*, of any shape, or a million of them; raises `ValueError` for some that are not finite."""
        low, high = float(values.min()), float(values.max())
        if not np.isfinite([low, high]).all():
            raise ValueError("a value is not finite")
        self.low, self.high = min(self.low, low), max(self.high, high)
        if self.limit == 0:
            self.limit = _magnitude(low, high)
        while self.limit < max(-low, high):
            self.limit *= 2
            self.counts = np.pad(self.counts.reshape(-1, 2).sum(axis=1), BINS // 4)
        some = values.ravel()[:: values.size // COUNTED | 1]  # an odd step takes from all columns of a map in turn
        self.counts += np.histogram(some, BINS, (-self.limit, self.limit))[0]

    def middles(self) -> npt.NDArray[np.floating]:
        """Return the value in the middle of each bin."""
        return (np.arange(BINS) + 0.5) * (2 * self.limit / BINS) - self.limit


def least_to_greatest(histogram: Histogram) -> Range:
    """Cut nothing off."""
    return histogram.low, histogram.high


def percentile(share: float) -> Callable[[Histogram], Range]:
    """Cut off what is more than this share of the values, in percent, half of it on either side."""

    def cut(histogram: Histogram) -> Range:
        beyond = (100 - share) / 200 * histogram.counts.sum()
        from_left, edges = np.cumsum(histogram.counts), np.linspace(-histogram.limit, histogram.limit, BINS + 1)
        left = int(np.searchsorted(from_left, beyond, side="right"))
        right = int(np.searchsorted(from_left, histogram.counts.sum() - beyond)) + 1
        return max(float(edges[left]), histogram.low), min(float(edges[right]), histogram.high)

    return cut


def least_squares(histogram: Histogram) -> Range:
    """Cut where the mean squared error of rounding and of cutting together is least."""
    middles, largest = histogram.middles(), max(-histogram.low, histogram.high)
    found = np.flatnonzero(histogram.counts)
    values, counts = middles[found], histogram.counts[found]
    best, least = least_to_greatest(histogram), np.inf
    for clip in CLIPS * largest:
        low, high = max(histogram.low, -clip), min(histogram.high, clip)
        step = (max(high, 0) - min(low, 0)) / LEVELS
        if step == 0:
            continue
        error = float((counts * (np.rint(values.clip(low, high) / step) * step - values) ** 2).sum())
        if error < least:
            best, least = (low, high), error
    return best


METHODS: Mapping[str, Callable[[Histogram], Range]] = {
    "least to greatest": least_to_greatest,
    "percentile 99.999": percentile(99.999),
    "percentile 99.99": percentile(99.99),
    "percentile 99.9": percentile(99.9),
    "least squares": least_squares,
}


def _magnitude(low: float, high: float) -> float:
    """Return the power of two that holds both; 1 if both are zero."""
    largest = max(-low, high)
    return float(2.0 ** np.ceil(np.log2(largest))) if largest > 0 else 1.0
