"""From the probabilities of one image to its predictions; shared by evaluation and the service."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt


class Prediction(TypedDict):
    """One line of an answer."""

    label: str
    class_id: int
    probability: float


def top_k(probabilities: npt.NDArray[np.float32], labels: Sequence[str], k: int) -> list[Prediction]:
    """Return the *k* most probable classes of one image, best first; equal probabilities keep the order of labels.

    *probabilities* has shape (K,), *labels* length K, and 1 ≤ *k* ≤ K is the caller's to check.
    """
    order: list[int] = (-probabilities).argsort(kind="stable")[:k].tolist()
    values: list[float] = probabilities.tolist()
    return [{"label": labels[i], "class_id": i, "probability": values[i]} for i in order]
