"""The sheet of the worst mistakes: the images that were answered wrongly with the greatest confidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from models.preprocess import preprocess
from models.spec import Geometry
from training.data import LIMITS, ClassIds, Files
from training.evaluate import Floats
from training.measuring import canvas
from training.measuring.canvas import GREEN, INK, MUTED, RED

COLUMNS, ROWS = 6, 4


def worst(probabilities: Floats, class_ids: ClassIds, most: int = COLUMNS * ROWS) -> list[int]:
    """Return the indices of wrongly answered images, the most confident answer first."""
    answers = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(answers != class_ids)
    order = np.argsort(-probabilities[wrong, answers[wrong]], kind="stable")
    return [int(index) for index in wrong[order][:most]]


@dataclass(frozen=True, slots=True)
class Answered:
    """A labelled split with the probabilities (N, K) that were answered to it."""

    files: Files
    class_ids: ClassIds
    probabilities: Floats
    labels: Sequence[str]
    geometry: Geometry


def mistakes(answered: Answered, path: Path, name: str) -> Path:
    """Draw the worst mistakes as the network saw them, with what they are and what was answered."""
    chosen = worst(answered.probabilities, answered.class_ids)
    wrong = int((answered.probabilities.argmax(axis=1) != answered.class_ids).sum())
    columns = min(COLUMNS, max(3, len(chosen)))
    rows = max(1, -(-len(chosen) // columns))
    drawn = canvas.figure(1.75 * columns, 0.6 + 2.15 * rows)
    text = f"Worst mistakes: {len(chosen)} of {wrong}, in {len(answered.files)} images" if chosen else "No mistakes"
    drawn.suptitle(f"{text}\n", x=0.01, ha="left", fontsize=11, color=INK, fontweight="bold")
    drawn.text(0.01, 1 - 0.4 / drawn.get_figheight(), name, ha="left", va="center", fontsize=8.5, color=MUTED)
    grid: Sequence[Axes] = drawn.subplots(rows, columns, squeeze=False).flatten().tolist()
    for axes in grid:
        axes.set_axis_off()
    for axes, index in zip(grid, chosen, strict=False):
        _draw(axes, answered, index)
    return canvas.save(drawn, path)


def _draw(axes: Axes, answered: Answered, index: int) -> None:
    labels, row = answered.labels, answered.probabilities[index]
    pixels = preprocess(answered.files[index], answered.geometry, LIMITS)
    axes.imshow(pixels.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    answer, truth = int(row.argmax()), int(answered.class_ids[index])
    place: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "va": "top", "fontsize": 8}
    axes.text(0.5, -0.03, canvas.short(labels[truth], 22), color=GREEN, **place)
    axes.text(0.5, -0.14, f"not {canvas.short(labels[answer], 14)} ({row[answer]:.0%})", color=RED, **place)
