"""Pictures of one run and of one evaluation: curves, confusion matrix, reliability diagram."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from training.fitting.epoch_log import Epoch
from training.measuring import canvas
from training.measuring.canvas import BLUE, GRID, INK, MUTED, ORANGE, RED
from training.measuring.scores import Scores

SHADE = (*to_rgb(RED), 0.25)
MOST_NUMBERS = 25  # classes up to which a confusion matrix has room for its counts
MOST_LABELS = 60  # the same for all labels beside it


def curves(epochs: Sequence[Epoch], path: Path, name: str) -> Path:
    """Draw loss and accuracy over the epochs, training and validation; the best epoch is marked."""
    drawn = canvas.figure(10, 4)
    left, right = drawn.subplots(1, 2)
    numbers = [epoch.epoch for epoch in epochs]
    best = max(epochs, key=lambda epoch: (epoch.val_accuracy, epoch.epoch))
    for axes, what, ours, theirs in (
        (left, "Loss", [epoch.train_loss for epoch in epochs], [epoch.val_loss for epoch in epochs]),
        (right, "Accuracy", [epoch.train_accuracy for epoch in epochs], [epoch.val_accuracy for epoch in epochs]),
    ):
        canvas.plain(axes)
        dots = "o" if len(epochs) < 3 else ""  # one epoch is a point, not a line
        axes.plot(numbers, ours, color=BLUE, linewidth=1.8, marker=dots, label="training, augmented")
        axes.plot(numbers, theirs, color=ORANGE, linewidth=1.8, marker=dots, label="validation")
        axes.axvline(best.epoch, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_xlabel("epoch", color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        canvas.title(axes, what, name)
    left.set_ylim(bottom=0)
    right.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    right.set_ylim(top=min(1.02, right.get_ylim()[1]))
    note = f"best: epoch {best.epoch}, {best.val_accuracy:.1%}"
    late = best.epoch > (numbers[0] + numbers[-1]) / 2
    right.annotate(
        note,
        (best.epoch, right.get_ylim()[0]),
        xytext=(-6 if late else 6, 8),
        textcoords="offset points",
        ha="right" if late else "left",
        fontsize=9,
        color=INK,
    )
    left.legend(frameon=False, fontsize=9, loc="upper right")
    return canvas.save(drawn, path)


def confusion(scores: Scores, path: Path, name: str) -> Path:
    """Draw the confusion matrix: a row is a class, its colours are shares of the row, its numbers are images."""
    counts = np.array(scores.confusion)
    shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    labels = [canvas.short(line.label) for line in scores.classes]
    side = min(14.0, max(5.0, 2.2 + 0.42 * len(labels)))
    drawn = canvas.figure(side + 0.8, side)
    axes = drawn.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(labels) <= MOST_NUMBERS:
        _write_counts(axes, counts, shares)
    _label_classes(axes, labels)
    bar = drawn.colorbar(image, ax=axes, shrink=0.7, format=PercentFormatter(1, decimals=0))
    bar.set_label("share of the class", color=INK, fontsize=9)
    bar.outline.set_visible(False)
    canvas.title(axes, "Confusion matrix", f"{name}: {scores.top1:.2%} of {scores.images} images right")
    return canvas.save(drawn, path)


def reliability(scores: Scores, path: Path, name: str) -> Path:
    """Draw accuracy over confidence in the bins that the calibration error is summed over, and how full they are."""
    filled = [line for line in scores.reliability if line.images]
    drawn = canvas.figure(5.4, 6.2)
    upper, lower = drawn.subplots(2, 1, height_ratios=[3, 1], sharex=True)
    width = 1 / len(scores.reliability)
    middles = [(line.low + line.high) / 2 for line in filled]
    accuracies = [line.accuracy or 0.0 for line in filled]
    sure = [line.confidence or 0.0 for line in filled]
    canvas.plain(upper)
    upper.bar(middles, accuracies, width * 0.92, color=BLUE, alpha=0.85, label="accuracy")
    gaps = [theirs - ours for theirs, ours in zip(sure, accuracies, strict=True)]
    upper.bar(
        middles,
        gaps,
        width * 0.92,
        bottom=accuracies,
        facecolor=SHADE,
        edgecolor=RED,
        hatch="////",
        linewidth=0.8,
        label="gap to the confidence",
    )
    upper.plot([0, 1], [0, 1], color=INK, linewidth=1.2, linestyle=(0, (4, 3)), label="as right as sure")
    upper.set_ylim(0, 1)
    upper.set_xlim(0, 1)
    upper.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    upper.set_ylabel("accuracy", color=INK)
    upper.legend(frameon=False, fontsize=9, loc="upper left")
    canvas.title(upper, "Reliability", f"{name}: calibration error {scores.ece:.4f} on {scores.images} images")
    canvas.plain(lower)
    lower.bar(middles, [line.images for line in filled], width * 0.92, color=MUTED)
    lower.set_yscale("log")
    lower.set_ylim(0.8, 1.5 * max(line.images for line in filled))
    lower.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    lower.set_ylabel("images", color=INK)
    lower.set_xlabel("confidence", color=INK)
    lower.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return canvas.save(drawn, path)


def _write_counts(axes: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    for row, column in zip(*np.nonzero(counts), strict=True):
        axes.text(
            column,
            row,
            str(counts[row, column]),
            ha="center",
            va="center",
            fontsize=8,
            color="white" if shares[row, column] > 0.55 else INK,
        )


def _label_classes(axes: Axes, labels: Sequence[str]) -> None:
    step = -(-len(labels) // MOST_LABELS)
    places = range(0, len(labels), step)
    named = [labels[place] for place in places]
    upright = max(map(len, named)) > 3
    size = 9 if len(named) <= MOST_NUMBERS else 6
    axes.set_xticks(places, named, rotation=90 if upright else 0, fontsize=size)
    axes.set_yticks(places, named, fontsize=size)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(len(labels) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(labels) + 1) - 0.5, minor=True)
    if len(labels) <= MOST_NUMBERS:
        axes.grid(which="minor", color=GRID, linewidth=0.8)
    axes.tick_params(which="minor", length=0)
    axes.set_xlabel("answer", color=INK)
    axes.set_ylabel("truth", color=INK)
