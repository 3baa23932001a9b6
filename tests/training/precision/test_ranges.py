"""training/precision/ranges.py: what is counted, and where the methods cut."""

import numpy as np
import pytest

from training.precision import ranges
from training.precision.ranges import Histogram

RNG = np.random.default_rng(0)


def counted(*parts: np.ndarray) -> Histogram:
    """A histogram of *parts*, one after the other."""
    histogram = Histogram()
    for part in parts:
        histogram.add(part.astype(np.float32))
    return histogram


def test_a_histogram_grows_with_what_is_added() -> None:
    """In whichever order: the counts are those of all values at once, and the extremes are exact."""
    small, large = RNG.normal(size=(3, 500)), RNG.normal(scale=40, size=2000)

    grown, whole = counted(small, large), counted(np.concatenate([small.ravel(), large]))

    assert (grown.low, grown.high) == (np.float32(large.min()).item(), np.float32(large.max()).item())
    assert grown.limit == whole.limit == 2.0 ** np.ceil(np.log2(np.abs(large).max()))
    assert grown.counts.sum() == 3500
    assert np.abs(np.cumsum(grown.counts) - np.cumsum(whole.counts)).max() <= 2  # where two bins of half the width met


def test_of_a_large_array_every_so_manieth_value_is_counted() -> None:
    """But its extremes are seen."""
    values = np.ones(3 * ranges.COUNTED, np.float32)
    values[1] = 9

    histogram = counted(values)

    assert histogram.high == 9
    assert ranges.COUNTED / 2 < histogram.counts.sum() <= ranges.COUNTED


def test_zeros_and_values_that_are_not_finite() -> None:
    """The first have a range, the others have none."""
    assert ranges.least_squares(counted(np.zeros(9))) == (0, 0)
    with pytest.raises(ValueError, match="not finite"):
        counted(np.array([1.0, np.inf]))


def test_a_percentile_cuts_half_of_the_rest_on_either_side() -> None:
    """Of 100,000 values 98% are kept: 1,000 lie below, 1,000 above, to a bin."""
    values = RNG.normal(size=100_000)

    low, high = ranges.percentile(98)(counted(values))

    assert (values < low).sum() == pytest.approx(1000, abs=100)
    assert (values > high).sum() == pytest.approx(1000, abs=100)


def test_a_percentile_never_reaches_beyond_the_values() -> None:
    """All of them positive, as behind a ReLU."""
    assert ranges.percentile(100)(counted(np.array([0.0, 0.3, 0.7]))) == (0, np.float32(0.7).item())


def test_least_squares_cuts_outliers_off_and_nothing_else() -> None:
    """Of a million values one that is 40 times as large as the rest costs the others more than it is worth."""
    values = RNG.uniform(0, 1, 1_000_000)
    low, high = ranges.least_squares(counted(np.append(values, 2.0)))

    assert ranges.least_squares(counted(values)) == (np.float32(values.min()).item(), np.float32(values.max()).item())
    assert low == np.float32(values.min())
    assert high == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("method", ranges.METHODS)
def test_every_method_keeps_what_is_within_the_extremes(method: str) -> None:
    """Of both signs, heavy at the ends."""
    histogram = counted(RNG.standard_t(2, 20_000))

    low, high = ranges.METHODS[method](histogram)

    assert histogram.low <= low < 0 < high <= histogram.high
