"""How far a probability can be believed: the expected calibration error, and the temperature that mends it.

Arrays in, numbers out; what a checkpoint or a split is, is not known here.
"""

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from models.spec import Calibration

ECE_BINS = 15
TEMPERATURES = (0.05, 20.0)  # searched between
ROUNDING = 1e-6  # of a calibration error: less is no gain
SIGNIFICANT = 3.84  # twice the gain in log-likelihood that chance reaches once in 20 times (χ², 1 degree of freedom)

Floats = npt.NDArray[np.float32]
ClassIds = npt.NDArray[np.int64]


def ece(probabilities: Floats, class_ids: ClassIds, bins: int = ECE_BINS) -> float:
    """Return the expected calibration error of answers (N, K): Σ share of bin · |accuracy − mean confidence|.

    The bins are of equal width over the confidence, (low, high]; C. Guo et al., "On calibration of modern neural
    networks", ICML 2017, equation 3.
    """
    confidence = probabilities.max(axis=1).astype(np.float64).clip(0, 1)
    right = probabilities.argmax(axis=1) == class_ids
    number = np.ceil(confidence * bins).astype(np.int64).clip(1, bins) - 1
    surplus = np.bincount(number, weights=right - confidence, minlength=bins)  # Σ (accuracy − confidence) in a bin
    return float(np.abs(surplus).sum() / len(confidence))


def softmax(logits: Floats, temperature: float) -> Floats:
    """Return the probabilities (N, K) of logits at a temperature."""
    probabilities: Floats = np.exp(log_softmax(logits.astype(np.float64) / temperature, axis=1)).astype(np.float32)
    return probabilities


def calibration(logits: Floats, class_ids: ClassIds) -> Calibration:
    """Return the temperature T at which softmax(logits / T) makes *class_ids* most likely (Guo et al., section 4.2).

    It stays 1, with the reason, where the likelihood has no greatest value, where 1 is as likely for all that so few
    images can say, and where the calibration error would not fall.
    """
    before = ece(softmax(logits, 1), class_ids)
    temperature, after, reason = 1.0, before, None
    fitted, gain = _most_likely(logits, class_ids)
    fitted_ece = ece(softmax(logits, fitted), class_ids)
    if not TEMPERATURES[0] * 1.01 < fitted < TEMPERATURES[1] / 1.01:
        reason = f"no temperature between {TEMPERATURES[0]} and {TEMPERATURES[1]} is the most likely"
    elif gain < SIGNIFICANT:
        reason = f"{fitted:.3f} is not significantly better than 1 on {len(class_ids)} images"
    elif fitted_ece > before - ROUNDING:
        reason = f"{fitted:.3f} would not lower the calibration error ({fitted_ece:.4f} instead of {before:.4f})"
    else:
        temperature, after = fitted, fitted_ece
    return Calibration(
        temperature=temperature, images=len(class_ids), ece_before=before, ece_after=after, reason=reason
    )


def _most_likely(logits: Floats, class_ids: ClassIds) -> tuple[float, float]:
    """Return the most likely temperature and twice its gain in log-likelihood over a temperature of 1."""
    scores, rows = logits.astype(np.float64), np.arange(len(logits))

    def loss(log_temperature: float) -> float:
        return -float(log_softmax(scores / np.exp(log_temperature), axis=1)[rows, class_ids].sum())

    low, high = np.log(TEMPERATURES)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x)), 2 * (loss(0) - float(found.fun))
