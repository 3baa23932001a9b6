"""Who goes where: train, validation and test, always the same for the same data set, whatever a run's own seed."""

import hashlib
import math
from collections.abc import Sequence

import numpy as np
from sklearn.model_selection import train_test_split

from training.data.dataset import ClassIds
from training.errors import InvalidData

SPLIT_SEED = 0  # one split for all runs: their test figures can be compared
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1


def stratified(class_ids: ClassIds, seed: int = SPLIT_SEED) -> tuple[ClassIds, ClassIds, ClassIds]:
    """Split 70/10/20, each part with each class in proportion; return the indices of train, validation and test."""
    rest, test = hold_out(class_ids, TEST_SHARE, seed)
    train, validation = hold_out(class_ids[rest], VALIDATION_SHARE / (1 - TEST_SHARE), seed)  # of what is left
    return rest[train], rest[validation], test


def hold_out(
    class_ids: ClassIds, share: float, seed: int = SPLIT_SEED, *, where: object = "the data set"
) -> tuple[ClassIds, ClassIds]:
    """Return the indices of the most and of a *share*, each class in proportion.

    Raises `InvalidData`, which names *where* they are from, when that cannot be.
    """
    classes, counts = np.unique(class_ids, return_counts=True)
    held_out = math.ceil(len(class_ids) * share)
    if len(classes) < 2:
        raise InvalidData(f"{where}: one class; there must be two at least")
    if counts.min() < 2:
        raise InvalidData(f"{where}: class {classes[counts.argmin()]} has one image; there must be two at least")
    if held_out < len(classes) or len(class_ids) - held_out < len(classes):
        raise InvalidData(
            f"{where}: {len(class_ids)} images are too few to hold out {share:.0%} of each of {len(classes)} classes"
        )
    kept, held = train_test_split(np.arange(len(class_ids)), test_size=share, stratify=class_ids, random_state=seed)
    return kept, held


def by_name(names: Sequence[str], *, validation: bool, test: bool) -> tuple[list[str], list[str], list[str]]:
    """Split the file names of one class by their hash; return those of train, validation and test.

    A file stays in its split when others come or go. Of a part that is not asked for there is none. Train and test
    get one file at least of two, validation of three: only there a name can change sides.
    """
    ranked = sorted(names, key=lambda name: (_fraction(name), name))
    shares = [_fraction(name) for name in ranked]
    tests = sum(share < TEST_SHARE for share in shares) if test else 0
    if test:
        spared = 2 if validation and len(ranked) > 2 else 1
        tests = min(max(tests, 1), len(ranked) - spared)
    low, high = (TEST_SHARE, TEST_SHARE + VALIDATION_SHARE) if test else (0.0, VALIDATION_SHARE)
    validations = sum(low <= share < high for share in shares[tests:]) if validation else 0
    if validation:
        validations = min(max(validations, 1), len(ranked) - tests - 1)
    middle = tests + validations
    return sorted(ranked[middle:]), sorted(ranked[tests:middle]), sorted(ranked[:tests])


def _fraction(name: str) -> float:
    """Map a name to [0, 1), evenly."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:6]) / 2**48
