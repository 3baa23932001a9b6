"""What a model gives for a batch, and what one image of it gets."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
_NONE: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a model gives for N images: `logits` and `probabilities`, both (N, K), and if it can, `features` (N, D)."""

    logits: Floats
    probabilities: Floats
    features: Floats | None = None

    def unusable(self) -> frozenset[int]:
        """Return the rows that hold NaN or infinity, as of the logarithm of a negative number."""
        # the sum of squares is finite when all are, and takes half a microsecond
        if all(math.isfinite(np.vdot(values, values)) for values in (self.logits, self.probabilities)):
            return _NONE
        finite = np.isfinite(self.logits).all(axis=1) & np.isfinite(self.probabilities).all(axis=1)
        return frozenset(np.flatnonzero(~finite).tolist())


class Answer(NamedTuple):
    """What one image got: a row of its batch's outputs, and where its time went."""

    outputs: Outputs
    row: int
    queue_s: float
    inference_s: float

    @property
    def logits(self) -> Floats:
        """Logits (K,)."""
        row: Floats = self.outputs.logits[self.row]
        return row

    @property
    def probabilities(self) -> Floats:
        """Probabilities (K,)."""
        row: Floats = self.outputs.probabilities[self.row]
        return row

    @property
    def features(self) -> Floats:
        """Features (D,); only of a model whose spec has them."""
        if self.outputs.features is None:
            raise ValueError("the model has no features")
        row: Floats = self.outputs.features[self.row]
        return row


def alone(answer: Answer) -> Answer:
    """Return a copy that does not keep the whole batch in memory."""
    row = slice(answer.row, answer.row + 1)
    outputs = answer.outputs
    features = None if outputs.features is None else outputs.features[row].copy()
    own = Outputs(outputs.logits[row].copy(), outputs.probabilities[row].copy(), features)
    return Answer(own, 0, answer.queue_s, answer.inference_s)


def mean(answers: Sequence[Answer]) -> Answer:
    """Return the mean of several answers, the crops of one image say; its times are those of the slowest."""
    logits, probabilities = ([getattr(one, name) for one in answers] for name in ("logits", "probabilities"))
    features = None if answers[0].outputs.features is None else _mean([one.features for one in answers])
    outputs = Outputs(_mean(logits), _mean(probabilities), features)
    return Answer(outputs, 0, max(one.queue_s for one in answers), max(one.inference_s for one in answers))


def _mean(rows: Sequence[Floats]) -> Floats:
    mean: Floats = np.mean(rows, axis=0, keepdims=True)
    return mean
