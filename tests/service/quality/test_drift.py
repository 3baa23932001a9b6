"""service/quality/drift.py: the index is that of the books, and noise is not taken for drift."""

import numpy as np
import pytest

from service import families
from service.quality import drift

MANY = 1e9  # images: what is left is the population's index


def test_the_index_is_the_sum_over_the_shares() -> None:
    """Two bins, 0.5/0.5 against 0.8/0.2: 0.3·ln(1.6) + (−0.3)·ln(0.4)."""
    found = drift.psi(np.array([800.0, 200.0]), MANY, np.array([0.5, 0.5]), MANY)

    assert found == pytest.approx(0.3 * np.log(1.6) - 0.3 * np.log(0.4), abs=1e-6)


@pytest.mark.parametrize(("classes", "images"), [(10, 300), (101, 1000)])
def test_samples_of_the_same_population_do_not_drift(classes: int, images: int) -> None:
    """Both the reference and the live images are samples; the mean index over many is about nothing."""
    random = np.random.default_rng(0)
    shares = random.dirichlet(np.full(classes, 5.0))

    def sample(count: int) -> drift.Floats:
        return random.multinomial(count, shares).astype(np.float64)

    found = [drift.psi(sample(images), images, sample(500) / 500, 500) for _ in range(50)]

    assert np.mean(found) < 0.05
    assert max(found) < 0.25


def test_a_class_that_the_reference_does_not_know_is_far_and_not_infinite() -> None:
    """Every bin is given half an image beforehand."""
    found = drift.psi(np.array([500.0, 500.0]), 1000, np.array([1.0, 0.0]), 360)

    assert 1 < found < 10


def test_fading_counts_are_worth_what_they_vary_like() -> None:
    """A few images count as themselves, a full window as almost twice its sum (2W − 1 in the limit)."""
    weights = 0.999 ** np.arange(100_000)

    assert drift.effective(1.0, 1000) == pytest.approx(1, abs=0.01)
    assert drift.effective(1000, 1000) == pytest.approx(weights.sum() ** 2 / (weights**2).sum(), rel=0.01)


def merged(counts: tuple[float, ...], served: float = 1.0) -> dict[str, dict[tuple[str, ...], tuple[float, ...]]]:
    """What the workers have counted of two classes that should be alike."""
    key = ("lenet", "1", "classes")
    return {
        families.MODEL_INFO.name: {("lenet", "1", "fp32", "cpu", "0"): (served,)},
        families.WINDOW.name: {key: (*counts, 2000.0)},
        families.REFERENCE.name: {key: (0.5, 0.5, 360.0)},
    }


def test_a_gauge_is_there_when_enough_has_been_seen_of_what_is_served() -> None:
    """A handful of images says nothing, a version that is gone even less."""
    assert drift.gauges(merged((40.0, 0.0))) == {}
    assert drift.gauges(merged((500.0, 500.0), served=0)) == {}
    assert drift.gauges(merged((500.0, 500.0))) == {("lenet", "1", "classes"): (0.0,)}
    assert drift.gauges(merged((1000.0, 0.0)))["lenet", "1", "classes"][0] > 0.25
