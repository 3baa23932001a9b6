"""From the answers to a labelled split to its figures. Arrays in, numbers out; who answered is not known here."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from models.spec import Share
from training import confidence, evaluate
from training.data import ClassIds
from training.evaluate import Floats


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClassScore(_Frozen):
    """One class: how many images it has, which share of them is found, and which share of what is called so is it.

    Precision is None for a class that is never answered, recall for one without images.
    """

    label: str
    images: int
    precision: Share | None
    recall: Share | None


class Bin(_Frozen):
    """The answers whose confidence is in (low, high]: their number, mean confidence and accuracy."""

    low: float
    high: float
    images: int
    confidence: Share | None
    accuracy: Share | None


class Scores(_Frozen):
    """All figures of one evaluation."""

    images: Annotated[int, Field(ge=1)]
    top1: Share
    top5: Share
    ece: Share  # expected calibration error, 15 bins
    mean_confidence: Share
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]  # [truth][answer], images
    reliability: tuple[Bin, ...]


def score(probabilities: Floats, class_ids: ClassIds, labels: Sequence[str]) -> Scores:
    """Return the figures of answers (N, K) to images of *class_ids* (N,), of which *labels* has the K names."""
    quality = evaluate.quality(probabilities, class_ids)
    confusion = confusion_matrix(probabilities.argmax(axis=1), class_ids, len(labels))
    return Scores(
        images=quality.images,
        top1=quality.top1,
        top5=quality.top5,
        ece=confidence.ece(probabilities, class_ids),
        mean_confidence=float(probabilities.max(axis=1).clip(0, 1).mean()),
        classes=tuple(_class_score(label, index, confusion) for index, label in enumerate(labels)),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        reliability=reliability(probabilities, class_ids),
    )


def confusion_matrix(answers: ClassIds, class_ids: ClassIds, count: int) -> npt.NDArray[np.int64]:
    """Return how many images of each class (row) were answered with each class (column)."""
    pairs = class_ids * count + answers
    return np.bincount(pairs, minlength=count * count).reshape(count, count)


def reliability(probabilities: Floats, class_ids: ClassIds, bins: int = confidence.ECE_BINS) -> tuple[Bin, ...]:
    """Return the bins that the expected calibration error is summed over."""
    sure = probabilities.max(axis=1).astype(np.float64).clip(0, 1)
    right = probabilities.argmax(axis=1) == class_ids
    number = np.ceil(sure * bins).astype(np.int64).clip(1, bins) - 1
    found = []
    for index in range(bins):
        inside = number == index
        images = int(inside.sum())
        found.append(
            Bin(
                low=index / bins,
                high=(index + 1) / bins,
                images=images,
                confidence=float(sure[inside].mean()) if images else None,
                accuracy=float(right[inside].mean()) if images else None,
            )
        )
    return tuple(found)


def _class_score(label: str, index: int, confusion: npt.NDArray[np.int64]) -> ClassScore:
    found, images, answered = int(confusion[index, index]), int(confusion[index].sum()), int(confusion[:, index].sum())
    return ClassScore(
        label=label,
        images=images,
        precision=found / answered if answered else None,
        recall=found / images if images else None,
    )
