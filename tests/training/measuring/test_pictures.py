"""training/measuring/plots.py, sheet.py: pictures are written whole, of many classes and of none that is wrong.

How they look was looked at; here it is that they are made, and what is on them.
"""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.factories import encode, make_geometry, make_image
from training.fitting.epoch_log import Epoch
from training.measuring import plots, sheet
from training.measuring.scores import score


def answered(images: int, classes: int, right: float = 0.8) -> sheet.Answered:
    """Random answers, of which about the share *right* are; labels of all lengths."""
    rng = np.random.default_rng(0)
    class_ids = rng.integers(0, classes, images)
    logits = rng.normal(size=(images, classes))
    hit = rng.random(images) < right
    logits[np.flatnonzero(hit), class_ids[hit]] += 6
    probabilities = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    labels = tuple(f"${'x' * (index % 40)}{index}" for index in range(classes))
    files = [encode(make_image(seed=index)) for index in range(images)]
    return sheet.Answered(files, class_ids, probabilities, labels, make_geometry())


def is_picture(path: Path) -> bool:
    """Whether a file is a whole PNG that has more than its background, alone in its folder."""
    with Image.open(path) as image:
        image.load()
        extremes = image.convert("L").getextrema()
    return extremes != (255, 255) and [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_confusion_and_reliability_of_any_number_of_classes(classes: int, tmp_path: Path) -> None:
    """Dollar signs in labels are no formulas; long labels are cut, long names wrapped; warnings would be errors."""
    split = answered(200, classes)
    scores = score(split.probabilities, split.class_ids, split.labels)
    for draw in (plots.confusion, plots.reliability):
        folder = tmp_path / draw.__name__
        folder.mkdir()
        assert is_picture(draw(scores, folder / "picture.png", "a name that needs more than one line, " * 3))


@pytest.mark.parametrize("right", [0.9, 0.0])
def test_the_sheet_shows_few_and_many_mistakes(right: float, tmp_path: Path) -> None:
    """At most 24."""
    assert is_picture(sheet.mistakes(answered(60, 5, right), tmp_path / "mistakes.png", "a test"))


def test_a_sheet_without_mistakes_says_so(tmp_path: Path) -> None:
    """It is a picture nevertheless."""
    split = answered(4, 3)
    perfect = sheet.Answered(
        split.files, split.probabilities.argmax(axis=1), split.probabilities, split.labels, split.geometry
    )

    assert sheet.worst(perfect.probabilities, perfect.class_ids) == []
    assert is_picture(sheet.mistakes(perfect, tmp_path / "mistakes.png", "a test"))


def test_the_worst_mistake_is_the_surest() -> None:
    """Right answers are none, however sure."""
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]], np.float32)

    assert sheet.worst(probabilities, np.array([0, 1, 0, 0])) == [2, 3, 1]
    assert sheet.worst(probabilities, np.array([0, 1, 0, 0]), most=1) == [2]


@pytest.mark.parametrize("count", [1, 2, 40])
def test_curves_of_any_number_of_epochs(count: int, tmp_path: Path) -> None:
    """One is a point."""
    epochs = [
        Epoch(number, number * 10, 1 / number, 1 - 1 / (number + 1), 1.2 / number, 1 - 1.2 / (number + 2), 0.1, 2, 99)
        for number in range(1, count + 1)
    ]

    assert is_picture(plots.curves(epochs, tmp_path / "curves.png", "a run"))
