"""What a model gives for a batch, and what one image of it gets."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
_NONE: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a model gives for N images: `logits` and `probabilities`, both (N, K)."""

    logits: Floats
    probabilities: Floats

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
