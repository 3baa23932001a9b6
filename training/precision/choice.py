"""How int8 is made of a model: kinds of ranges, tried in turn and judged on validation.

A judge of its own, so that the test split, which admits or refuses what comes of it, has had no part in it. How a try
is quantized is quantize.py's.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from training import evaluate
from training.data import Pixels
from training.evaluate import Floats
from training.precision import quantize, ranges

ENOUGH_IMAGES = 100  # that a try agrees on, all of them, for no other to be made: one of them is 1%
MOST_IMAGES = 512  # of the validation split: more would judge no better, and take longer
BATCH = 8  # of which all values between the layers are in memory at once


@dataclass(frozen=True, slots=True)
class Try:
    """One way to int8, and how far its answers to validation images are from those of fp32."""

    method: str
    agreement: float  # share of images with the same class first
    fidelity_db: float  # Σ signal² / Σ error² of the logits, whose mean over the classes is no signal
    model: onnx.ModelProto

    def rank(self) -> tuple[float, float]:
        """Return what is larger the nearer it is to fp32."""
        return self.agreement, self.fidelity_db

    def __str__(self) -> str:
        """Name the method and what it was chosen by."""
        return f"{self.method}: agrees on {self.agreement:.2%}, {self.fidelity_db:.1f} dB"


def best_int8(model: onnx.ModelProto, calibration: Iterator[Pixels], validation: Iterator[Pixels]) -> tuple[Try, int]:
    """Return the try that is nearest to fp32 on *validation*, and how many were made; the fewest that prove it.

    The nearest agrees on the most images and, of those, has the least noise. *calibration* are training images.
    """
    images = list(validation)
    want = _logits(model, images)
    best, tries = None, 0
    for attempt in _tries(model, list(calibration), images, want):
        tries += 1
        if best is None or attempt.rank() > best.rank():
            best = attempt
        if attempt.agreement == 1 and len(want) >= ENOUGH_IMAGES:
            break
    if best is None:
        raise ValueError("there is no way to int8")
    return best, tries


def _tries(
    model: onnx.ModelProto, calibration: Sequence[Pixels], images: Sequence[Pixels], want: Floats
) -> Iterator[Try]:
    """Try each kind of ranges."""
    prepared = quantize.prepare(model)
    seen = quantize.observe(prepared, calibration)
    moments = quantize.moments(prepared, calibration)
    for method, cut in ranges.METHODS.items():
        int8 = quantize.to_int8(prepared, {name: cut(histogram) for name, histogram in seen.items()}, moments)
        got = _logits(int8, images)
        agreement = float((got.argmax(axis=1) == want.argmax(axis=1)).mean())
        yield Try(method, agreement, _fidelity_db(got, want), int8)


def _fidelity_db(got: Floats, want: Floats) -> float:
    """Return signal to noise in decibels; softmax does not see what is added to all logits of an image."""
    signal, noise = (
        float(((logits - logits.mean(axis=1, keepdims=True)).astype(np.float64) ** 2).sum())
        for logits in (want, got - want)
    )
    if not np.isfinite(noise) or signal == 0:
        return -np.inf
    return float(10 * np.log10(signal / max(noise, 1e-12 * signal)))


def _logits(model: onnx.ModelProto, images: Iterable[Pixels]) -> Floats:
    predict = evaluate.of_model_file(model.SerializeToString())
    return np.concatenate([predict(batch).logits for batch in images])
