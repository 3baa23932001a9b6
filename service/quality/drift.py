"""How far live traffic is from the reference profile in the spec: the population stability index.

PSI = Σ (live − reference) · ln(live ÷ reference) over the shares of bins; by custom below 0.1 is alike and above 0.25
is another population (N. Siddiqi, "Credit Risk Scorecards", 2006). Of samples of the same population it is
(bins − 1)(1/n + 1/m) on average (B. Yurdakul, "Statistical properties of population stability index", 2018); that
much is taken off, so that many classes or a small test split do not look like drift.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from service.families import MODEL_INFO, REFERENCE, WINDOW

MIN_IMAGES: Final = 100  # before there is anything to say
_MIN_PER_BIN: Final = 5
_PRIOR: Final = 0.5  # images that every bin is given beforehand, so that an empty one is not infinitely far (Jeffreys)
Floats = npt.NDArray[np.float64]
Merged = Mapping[str, Mapping[tuple[str, ...], tuple[float, ...]]]


def psi(live: Floats, weight: float, reference: Floats, images: float) -> float:
    """Return the index of *live* counts against *reference* shares, both (B,), less its mean without drift.

    *weight* is how many independent images the live counts are worth, *images* how many the reference was counted on.
    """
    bins = len(reference)
    expected = (reference * images + _PRIOR) / (images + _PRIOR * bins)
    seen = (live / live.sum() * weight + _PRIOR) / (weight + _PRIOR * bins)
    used = int(np.count_nonzero((live > 0) | (reference > 0)))
    index = float(((seen - expected) * np.log(seen / expected)).sum())
    return max(0.0, index - (used - 1) * (1 / weight + 1 / images))


def effective(total: float, window: float) -> float:
    """Return how many images of equal weight exponentially decayed counts are worth, (Σw)² ÷ Σw².

    *total* is the sum of the counts, which grows towards *window* as images come.
    """
    return 2 * total / (2 - min(1.0, total / window))


def gauges(merged: Merged) -> dict[tuple[str, ...], tuple[float, ...]]:
    """Return the values of `classifier_drift_psi` for every version that is served and has seen enough images."""
    served = {labels[:2] for labels, values in merged.get(MODEL_INFO.name, {}).items() if values[0] > 0}
    found: dict[tuple[str, ...], tuple[float, ...]] = {}
    for labels, values in merged.get(WINDOW.name, {}).items():
        reference = merged.get(REFERENCE.name, {}).get(labels)
        if reference is None or labels[:2] not in served:
            continue
        *counts, window = values
        *shares, images = reference
        weight = effective(sum(counts), window)
        if weight >= max(MIN_IMAGES, _MIN_PER_BIN * len(shares)):
            found[labels] = (psi(np.array(counts), weight, np.array(shares), images),)
    return found
