"""training/evaluate.py, and the figures of the model that ships."""

import numpy as np
import pytest

from models.store import ModelStore
from tests.factories import REPOSITORY
from tests.training.test_export import spec_of
from training import checkpoint, data, evaluate
from training.fit import Run
from training.publish import Exported


def test_top1_and_top5_count_images() -> None:
    """Seven classes: the first image is right at once, the second at the fifth answer, the third at the sixth."""
    row = np.array([0.3, 0.2, 0.15, 0.13, 0.11, 0.07, 0.04], np.float32)

    quality = evaluate.quality(np.stack([row, row, row]), np.array([0, 4, 5]))

    assert (quality.images, quality.top1, quality.top5) == (3, 1 / 3, 2 / 3)
    assert quality.ece == pytest.approx(1 / 3 - 0.3)


def test_equal_probabilities_count_as_the_service_orders_them() -> None:
    """The lower class_id comes first."""
    even = np.full((2, 6), 1 / 6, np.float32)

    quality = evaluate.quality(even, np.array([0, 5]))

    assert (quality.images, quality.top1, quality.top5) == (2, 0.5, 0.5)


def test_fewer_than_five_classes_are_all_in_the_top5() -> None:
    """There is nothing else to answer."""
    assert evaluate.quality(np.array([[0.9, 0.1]], np.float32), np.array([1])).top5 == 1


def test_a_profile_holds_shares_of_classes_and_of_confidence() -> None:
    """A confidence of exactly 1 belongs to the last tenth."""
    probabilities = np.array([[1, 0, 0], [0.85, 0.15, 0], [0.05, 0.05, 0.9], [0.4, 0.35, 0.25]], np.float32)

    profile = evaluate.profile(probabilities)

    assert profile.classes == (0.75, 0, 0.25)
    assert profile.confidence == (0, 0, 0, 0, 0.25, 0, 0, 0, 0.25, 0.5)


def test_checkpoint_and_model_file_have_the_same_figures(run: Run, exported: Exported) -> None:
    """Top-1 and top-5 of the whole test split, and they are the figures that the spec states."""
    blueprint, network = checkpoint.load(run.best)
    test = data.load("digits").test
    predicts = evaluate.of_network(network), evaluate.of_model_file(exported.path.read_bytes())

    ours, theirs = (
        evaluate.quality(evaluate.answer(predict, test.files, blueprint.geometry).probabilities, test.class_ids)
        for predict in predicts
    )

    assert exported.quality is not None
    for figures in (ours, theirs):
        assert (figures.images, figures.top1, figures.top5) == (360, exported.quality.top1, exported.quality.top5)
    assert theirs.ece == exported.quality.ece


def test_the_model_that_ships_is_as_good_as_it_says() -> None:
    """At least 97% top-1 on the test split, measured anew from the file, in less than 300 kB; calibrated to 0.03."""
    file = ModelStore(REPOSITORY).read("lenet", 1)
    test = data.load("digits").test
    spec = spec_of(file.path)

    answers = evaluate.answer(evaluate.of_model_file(file.data), test.files, spec.geometry)

    quality = evaluate.quality(answers.probabilities, test.class_ids)
    assert spec.quality is not None
    assert (quality.images, quality.top1) == (360, spec.quality.top1)
    assert quality.ece == pytest.approx(spec.quality.ece)
    assert spec.quality.ece is not None
    assert spec.quality.ece <= 0.03
    assert spec.quality.ece_uncalibrated is not None
    assert spec.quality.ece <= spec.quality.ece_uncalibrated
    assert spec.calibration is not None
    assert spec.calibration.ece_after <= spec.calibration.ece_before
    assert spec.quality.top1 >= 0.97
    assert len(file.data) < 300_000
