"""training/confidence.py."""

import numpy as np
import pytest

from training import confidence


def answers(count: int, temperature: float, seed: int = 0) -> tuple[confidence.Floats, confidence.ClassIds]:
    """Logits (N, 5) that are *temperature* times too large, and classes drawn as the true probabilities say."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(count, 5)).astype(np.float32) * 2
    shares = confidence.softmax(logits, 1).astype(np.float64)
    class_ids = np.array([rng.choice(5, p=row / row.sum()) for row in shares])
    return logits * np.float32(temperature), class_ids


def test_ece_by_hand() -> None:
    """Three bins: two answers of 0.9, one of them right; one of 0.6, right."""
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]], np.float32)

    assert confidence.ece(probabilities, np.array([0, 1, 1])) == pytest.approx((2 * 0.4 + 0.4) / 3)


def test_answers_in_one_bin_make_up_for_each_other() -> None:
    """0.61 and 0.65 lie in (0.6, 0.667]: what counts is their mean."""
    probabilities = np.array([[0.61, 0.39], [0.65, 0.35]], np.float32)

    assert confidence.ece(probabilities, np.array([0, 1])) == pytest.approx(0.63 - 0.5)
    assert confidence.ece(probabilities, np.array([0, 1]), bins=100) == pytest.approx((0.39 + 0.65) / 2)


def test_certainty_that_is_right_has_no_error() -> None:
    """A confidence of exactly 1 belongs to the last bin."""
    assert confidence.ece(np.eye(3, dtype=np.float32), np.arange(3)) == 0


@pytest.mark.parametrize("temperature", [0.5, 2.0, 4.0])
def test_the_temperature_is_found(temperature: float) -> None:
    """Within what 2,000 images can tell; the error falls, and the least of it is left."""
    found = confidence.calibration(*answers(2000, temperature))

    assert found.temperature == pytest.approx(temperature, rel=0.1)
    assert found.ece_after < found.ece_before
    assert found.ece_after < 0.03
    assert found.reason is None


def test_what_few_images_cannot_tell_stays() -> None:
    """Logits that are 5% too large, and 100 images: chance moves the optimum by more."""
    found = confidence.calibration(*answers(100, 1.05))

    assert found.temperature == 1
    assert found.ece_after == found.ece_before
    assert found.reason is not None
    assert "not significantly better than 1 on 100 images" in found.reason


def test_a_split_without_an_error_cannot_be_calibrated_on() -> None:
    """The likelihood only grows as the temperature falls."""
    logits = np.eye(4, dtype=np.float32)

    found = confidence.calibration(logits, np.arange(4))

    assert found.temperature == 1
    assert found.reason == "no temperature between 0.05 and 20.0 is the most likely"
