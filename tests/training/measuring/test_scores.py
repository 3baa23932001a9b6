"""training/measuring/scores.py."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from training.measuring.scores import score

LABELS = ("cat", "dog", "owl")
PROBABILITIES = np.array(
    [[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.6, 0.4, 0.0], [0.1, 0.7, 0.2], [1.0, 0.0, 0.0]], np.float32
)
CLASS_IDS = np.array([0, 1, 1, 1, 0])


def test_precision_and_recall_of_each_class() -> None:
    """Of the three that are called cat two are; of the three dogs two are found; nothing is an owl or called one."""
    cat, dog, owl = score(PROBABILITIES, CLASS_IDS, LABELS).classes

    assert [(line.label, line.images) for line in (cat, dog, owl)] == [("cat", 2), ("dog", 3), ("owl", 0)]
    assert [cat.precision, cat.recall, dog.precision, dog.recall] == pytest.approx([2 / 3, 1, 1, 2 / 3])
    assert (owl.precision, owl.recall) == (None, None)


def test_the_confusion_matrix_has_truth_in_rows() -> None:
    """And answers in columns."""
    scores = score(PROBABILITIES, CLASS_IDS, LABELS)

    assert scores.confusion == ((2, 0, 0), (1, 2, 0), (0, 0, 0))
    assert (scores.images, scores.top1, scores.top5) == (5, 0.8, 1)
    assert scores.mean_confidence == pytest.approx(0.8)


def test_reliability_bins_hold_every_image() -> None:
    """A confidence of exactly 1 is in the last one."""
    bins = score(PROBABILITIES, CLASS_IDS, LABELS).reliability

    assert len(bins) == 15
    assert sum(line.images for line in bins) == 5
    assert (bins[-1].images, bins[-1].confidence, bins[-1].accuracy) == (1, 1, 1)
    assert (bins[0].images, bins[0].confidence, bins[0].accuracy) == (0, None, None)


def test_the_calibration_error_is_that_of_torchmetrics() -> None:
    """On random answers of four classes."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(500, 4)) * 2
    probabilities = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    class_ids = rng.integers(0, 4, 500)

    ours = score(probabilities, class_ids, "abcd").ece

    theirs = multiclass_calibration_error(
        torch.from_numpy(probabilities), torch.from_numpy(class_ids), num_classes=4, n_bins=15
    )
    assert ours == pytest.approx(float(theirs), abs=1e-6)
    assert ours > 0.1
