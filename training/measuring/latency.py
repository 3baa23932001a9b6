"""How long a model file takes for a batch, in ONNX Runtime on this machine's CPU."""

import statistics
import time
from dataclasses import dataclass

import numpy as np

from models.spec import Geometry
from training.evaluate import Predict

WARM_UP = 3
ROUNDS = 20
MOST_S = 10.0  # for one batch size; a large network gets fewer rounds


@dataclass(frozen=True, slots=True)
class Latency:
    """Median and fastest of several runs of one batch, in milliseconds."""

    batch: int
    median_ms: float
    fastest_ms: float
    rounds: int


def measure(predict: Predict, geometry: Geometry, batch: int) -> Latency:
    """Time batches of noise: what an image shows makes no difference to how long a network takes."""
    images = np.random.default_rng(0).integers(0, 256, (batch, *geometry.shape), np.uint8)
    began = time.perf_counter()
    for _ in range(WARM_UP):
        predict(images)
        if time.perf_counter() - began > MOST_S / 2:
            break
    taken: list[float] = []
    began = time.perf_counter()
    while len(taken) < ROUNDS and (not taken or time.perf_counter() - began < MOST_S):
        start = time.perf_counter()
        predict(images)
        taken.append((time.perf_counter() - start) * 1000)
    return Latency(batch, round(statistics.median(taken), 3), round(min(taken), 3), len(taken))
