"""How int8 is made of a model: ranges, and the first and last layer in floats, tried in turn and judged on validation.

A judge of its own, so that the test split, which admits or refuses what comes of it, has had no part in it. How a try
is quantized is quantize.py's.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx

from training import evaluate
from training.data import Pixels
from training.evaluate import Floats
from training.graphs import WEIGHTED, outside_layers
from training.precision import quantize, ranges
from training.precision.ranges import Histogram

ENOUGH_IMAGES = 100  # that a try agrees on, all of them, for no other to be made: one of them is 1%
MOST_IMAGES = 512  # of the validation split: more would judge no better, and take longer
BATCH = 8  # of which all values between the layers are in memory at once
ENDS = "first and last layer in fp32"


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
    for attempt in _tries(model, calibration, images, want):
        tries += 1
        if best is None or attempt.rank() > best.rank():
            best = attempt
        if attempt.agreement == 1 and len(want) >= ENOUGH_IMAGES:
            break
    if best is None:
        raise ValueError("there is no way to int8")
    return best, tries


def _tries(model: onnx.ModelProto, calibration: Iterator[Pixels], images: list[Pixels], want: Floats) -> Iterator[Try]:
    """Try the ranges with all layers in int8, then the best of them with the first and the last layer in floats."""
    prepared = quantize.prepare(model)
    seen = quantize.observe(prepared, calibration)
    ranks = {}  # and no models, which may be large
    for method in ranges.METHODS:
        attempt = _try(prepared, method, seen, images, want)
        ranks[method] = attempt.rank()
        yield attempt
    yield _try(prepared, max(ranks, key=ranks.__getitem__), seen, images, want, ends=True)


def _try(
    prepared: onnx.ModelProto,
    method: str,
    seen: dict[str, Histogram],
    images: list[Pixels],
    want: Floats,
    *,
    ends: bool = False,
) -> Try:
    limits = {name: ranges.METHODS[method](histogram) for name, histogram in seen.items()}
    model = quantize.to_int8(prepared, limits, _ends(prepared.graph) if ends else ())
    got = _logits(model, images)
    return Try(
        method=f"{method}, {ENDS}" if ends else method,
        agreement=float((got.argmax(axis=1) == want.argmax(axis=1)).mean()),
        fidelity_db=_fidelity_db(got, want),
        model=model,
    )


def _fidelity_db(got: Floats, want: Floats) -> float:
    """Return signal to noise in decibels; softmax does not see what is added to all logits of an image."""
    signal, noise = (
        float(((logits - logits.mean(axis=1, keepdims=True)).astype(np.float64) ** 2).sum())
        for logits in (want, got - want)
    )
    if not np.isfinite(noise) or signal == 0:
        return -np.inf
    return float(10 * np.log10(signal / max(noise, 1e-12 * signal)))


def _ends(graph: onnx.GraphProto) -> list[str]:
    """Return the names of the first and the last layer with weights."""
    outside = {node.name for node in outside_layers(graph)}
    layers = [node.name for node in graph.node if node.op_type in WEIGHTED and node.name not in outside]
    return [layers[0], layers[-1]]


def _logits(model: onnx.ModelProto, images: list[Pixels]) -> Floats:
    predict = evaluate.of_model_file(model.SerializeToString())
    return np.concatenate([predict(batch).logits for batch in images])
