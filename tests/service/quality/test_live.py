"""service/quality/live.py: what is counted of answers, at once or a moment later."""

import asyncio

import numpy as np
import pytest

from models.spec import ModelSpec
from service import families
from service.families import Family
from service.metrics import Metrics
from service.outputs import Outputs
from service.quality import live
from service.quality.live import Quality
from tests.factories import make_spec

IMAGE = np.full((1, 28, 28, 1), 51, np.uint8)  # a fifth of white


def answering(quality: Quality, probabilities: list[list[float]], images: np.ndarray | None = None) -> None:
    """Let a batch be answered with *probabilities* (N, K)."""
    rows = np.asarray(probabilities, np.float32)
    given = np.repeat(IMAGE, len(rows), axis=0) if images is None else images
    quality.watched(lambda _: Outputs(rows, rows))(given)
    quality.count()


def sure(class_id: int, confidence: float = 0.91, classes: int = 10) -> list[float]:
    """One class with its confidence, the others alike."""
    row = [(1 - confidence) / (classes - 1)] * classes
    row[class_id] = confidence
    return row


def made(spec: ModelSpec | None = None, classes: int = 100, window: float = 1000) -> tuple[Metrics, Quality]:
    """Metrics, and the quality of a version in them."""
    metrics = Metrics(())
    return metrics, Quality(metrics, spec or make_spec(), classes=classes, window=window)


def numbers(metrics: Metrics, family: Family, *last: str) -> tuple[float, ...]:
    """What was counted of the version."""
    return metrics.merged()[family.name]["lenet", "1", *last]


async def test_classes_are_counted_with_their_batch() -> None:
    """Before anything else is worked out."""
    metrics, quality = made()
    answering(quality, [sure(3), sure(3), sure(7)])

    assert [numbers(metrics, families.PREDICTIONS, label) for label in "037"] == [(0.0,), (2.0,), (1.0,)]
    assert sum(numbers(metrics, families.CONFIDENCE)) == 0


async def test_the_rest_is_worked_out_for_many_at_once() -> None:
    """Buckets and sums, as one would count them by hand."""
    metrics, quality = made()
    answering(quality, [sure(3, 0.91), sure(3, 0.55)])
    quality.fold()

    *counts, total = numbers(metrics, families.CONFIDENCE)
    assert total == pytest.approx(1.46, abs=1e-5)
    assert {edge: n for edge, n in zip(families.SHARES, counts, strict=False) if n} == {0.6: 1, 0.95: 1}
    assert numbers(metrics, families.MARGIN)[-1] == pytest.approx(0.91 - 0.01 + 0.55 - 0.05, abs=1e-5)
    rows = np.array([sure(3, 0.91), sure(3, 0.55)])
    assert numbers(metrics, families.ENTROPY)[-1] == pytest.approx(-(rows * np.log(rows)).sum() / np.log(10), abs=1e-5)
    assert numbers(metrics, families.BRIGHTNESS)[-1] == pytest.approx(0.4, abs=1e-5)


async def test_the_runtimes_own_arrays_are_not_kept_until_then() -> None:
    """They keep the memory of a session that has been closed."""
    _, quality = made()
    rows = np.asarray([sure(3)], np.float32)
    quality.watched(lambda _: Outputs(rows, rows))(IMAGE)
    quality.count()
    (gathered,) = quality._gathered

    assert not any(np.shares_memory(one, rows) for one in gathered)


async def test_it_is_worked_out_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the time is over, and when enough has come together."""
    monkeypatch.setattr(live, "FOLD_S", 0.0)
    metrics, quality = made()
    answering(quality, [sure(1)])
    await asyncio.sleep(0.001)
    assert sum(numbers(metrics, families.CONFIDENCE)[:-1]) == 1

    monkeypatch.setattr(live, "FOLD_S", 1000.0)
    answering(quality, [sure(1)] * 511)
    assert sum(numbers(metrics, families.CONFIDENCE)[:-1]) == 1
    answering(quality, [sure(1)])
    assert sum(numbers(metrics, families.CONFIDENCE)[:-1]) == 513


async def test_what_has_no_answer_is_not_counted() -> None:
    """NaN is no class."""
    metrics, quality = made()
    answering(quality, [sure(2), [float("nan")] * 10])
    answering(quality, [[float("inf")] * 10])
    quality.fold()

    assert [numbers(metrics, families.PREDICTIONS, label)[0] for label in "0123456789"] == [0, 0, 1, *[0] * 7]
    assert sum(numbers(metrics, families.CONFIDENCE)[:-1]) == 1


async def test_classes_beyond_the_limit_are_other() -> None:
    """The most frequent of the profile have a series of their own."""
    shares = [0.0, 0.3, 0.0, 0.6, *[0.1 / 6] * 6]
    metrics, quality = made(make_spec(profile={"classes": shares, "confidence": [0.1] * 10}), classes=2)
    answering(quality, [sure(3), sure(1), sure(0), sure(9)])

    assert [numbers(metrics, families.PREDICTIONS, label) for label in ("3", "1", "other")] == [(1,), (1,), (2,)]


async def test_the_window_fades() -> None:
    """Its sum grows to its length and no further; what is old counts for little."""
    metrics, quality = made(window=100)
    for class_id in (1, 2):
        for _ in range(5):
            answering(quality, [sure(class_id)] * 100)
            quality.fold()
    *counts, window = numbers(metrics, families.WINDOW, "classes")

    assert window == 100
    assert sum(counts) == pytest.approx(100, rel=0.01)
    assert counts[1] < 1
    assert counts[2] > 99


async def test_a_large_image_is_not_kept() -> None:
    """Of a photograph a few pixels wait to be worked out."""
    metrics, quality = made()
    images = np.full((2, 224, 224, 3), 255, np.uint8)
    answering(quality, [sure(1)] * 2, images)
    kept = quality._gathered[0][0]
    quality.fold()

    assert kept.base is None
    assert kept.nbytes < images.nbytes / 40
    assert numbers(metrics, families.BRIGHTNESS)[-1] == 2


async def test_without_a_profile_there_is_no_window() -> None:
    """An imported file has nothing to compare with; it is counted all the same."""
    metrics, quality = made(make_spec(profile=None))
    answering(quality, [sure(1)])
    quality.fold()

    assert families.WINDOW.name not in metrics.merged()
    assert numbers(metrics, families.PREDICTIONS, "1") == (1,)
