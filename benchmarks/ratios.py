"""Ratios of figures that were measured side by side: their median, and how sure it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import median


@dataclass(frozen=True, slots=True)
class Ratio:
    """Median of paired ratios with a distribution-free interval and the confidence that it really has."""

    median: float
    low: float
    high: float
    confidence: float

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.low:.2f}, {self.high:.2f}]"


def ratio(ours: Sequence[float], theirs: Sequence[float], confidence: float = 0.95) -> Ratio:
    """Return the median of ours ÷ theirs, round by round.

    The interval lies between two order statistics, the innermost pair that covers the median with *confidence*
    (binomial; Conover, Practical Nonparametric Statistics, 3.2); with few rounds it is the whole range.
    """
    values = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    count = len(values)
    inner = 0
    while inner + 1 < count / 2 and _coverage(count, inner + 1) >= confidence:
        inner += 1
    return Ratio(median(values), values[inner], values[count - 1 - inner], _coverage(count, inner))


def _coverage(count: int, inner: int) -> float:
    """Probability that the median lies between the order statistics inner and count − 1 − inner (from 0)."""
    return 1 - sum(comb(count, i) for i in range(inner + 1)) / float(2 ** (count - 1))
