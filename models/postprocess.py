"""From the probabilities of one image to its predictions; shared by evaluation and the service."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt

_FEW = 32  # classes up to which Python sorts faster than numpy is called


class Prediction(TypedDict):
    """One line of an answer."""

    label: str
    class_id: int
    probability: float


def top_k(probabilities: npt.NDArray[np.float32], labels: Sequence[str], k: int) -> list[Prediction]:
    """Return the *k* most probable classes of one image, best first; equal probabilities keep the order of labels.

    *probabilities* has shape (K,), *labels* length K, and 1 ≤ *k* ≤ K is the caller's to check.
    """
    values: list[float] = probabilities.tolist()
    order: list[int]
    if len(values) <= _FEW:  # both sorts are stable, also backwards
        order = sorted(range(len(values)), key=values.__getitem__, reverse=True)[:k]
    else:
        order = (-probabilities).argsort(kind="stable")[:k].tolist()
    return [{"label": labels[i], "class_id": i, "probability": values[i]} for i in order]


def abstains(predictions: Sequence[Prediction], threshold: float) -> bool:
    """Tell whether the best of *predictions* is less probable than *threshold*: too unsure to be called an answer."""
    return predictions[0]["probability"] < threshold
