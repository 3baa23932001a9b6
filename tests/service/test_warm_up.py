"""service/warm_up.py: which batches are run, and which size is found worth forming. The clock is the test's."""

import numpy as np
import pytest

from service.warm_up import sizes, warm_up


class Timed:
    """A device that takes `fixed` seconds a batch and `each` seconds an image, on a clock of its own."""

    def __init__(self, fixed: float, each: float) -> None:
        self.now = 0.0
        self.batches: list[int] = []
        self._fixed, self._each = fixed, each

    def __call__(self, images: np.ndarray) -> None:
        self.batches.append(len(images))
        self.now += self._fixed + self._each * len(images)

    def clock(self) -> float:
        return self.now


def test_every_size_that_may_be_formed_is_warm() -> None:
    """A device whose price is by the batch is used to the limit, and each size has run."""
    device = Timed(fixed=0.1, each=0.0)

    assert warm_up(device, (2, 3, 1), 24, device.clock) == 24
    assert set(device.batches) == {1, 2, 4, 8, 16, 24}


def test_a_batch_that_wins_nothing_is_not_formed() -> None:
    """Where an image costs the same in any company, none has to wait for others; large batches are not even tried."""
    device = Timed(fixed=0.0, each=0.1)

    assert warm_up(device, (2, 3, 1), 1024, device.clock) == 1
    assert max(device.batches) <= 8


@pytest.mark.parametrize(
    ("fixed", "each", "size"),
    [(0.01, 0.01, 32), (0.003, 0.01, 16), (0.0015, 0.01, 8), (0.0002, 0.01, 1), (0.08, 0.01, 32)],
)
def test_the_smallest_size_whose_own_part_is_small(fixed: float, each: float, size: int) -> None:
    """The price of a batch, spread over its images, has become small."""
    device = Timed(fixed, each)

    assert warm_up(device, (2, 3, 1), 32, device.clock) == size


@pytest.mark.parametrize("limit", [2, 3, 4])
def test_a_low_limit_is_no_reason_to_wait(limit: int) -> None:
    """With few sizes to judge by, too."""
    for fixed, size in ((0.0, 1), (0.1, limit)):
        device = Timed(fixed, each=0.1)
        assert warm_up(device, (2, 3, 1), limit, device.clock) == size


@pytest.mark.parametrize("disturbed", [2, 4, 8, 16])
def test_one_size_that_was_disturbed_does_not_decide(disturbed: int) -> None:
    """Each run of it slower by a third: neither it nor what is below is taken for the best there is."""
    device = Timed(fixed=0.003, each=0.01)

    def run(images: np.ndarray) -> None:
        device(images)
        if len(images) == disturbed:
            device.now += (0.003 + 0.01 * disturbed) / 3

    assert warm_up(run, (2, 3, 1), 64, device.clock) == 16


@pytest.mark.parametrize(("fixed", "each", "formed", "tried"), [(0.5, 0.25, 4, 4), (0.0, 0.3, 1, 4), (0.0, 3.0, 1, 1)])
def test_a_batch_that_takes_seconds_is_not_formed(fixed: float, each: float, formed: int, tried: int) -> None:
    """Nor tried, whatever it would save: a start has to end, and so has a wait."""
    device = Timed(fixed, each)

    assert warm_up(device, (2, 3, 1), 32, device.clock) == formed
    assert max(device.batches) == tried


@pytest.mark.parametrize(("fixed", "size"), [(0.0, 1), (0.003, 16)])
def test_what_comes_between_is_not_taken_for_the_device(fixed: float, size: int) -> None:
    """Other processes slow seven runs of eight down: the best of several counts."""
    device = Timed(fixed, each=0.01)

    def disturbed(images: np.ndarray) -> None:
        device(images)
        device.now += 0.05 * (device.batches.count(len(images)) % 8 != 2)

    assert warm_up(disturbed, (2, 3, 1), 64, device.clock) == size


def test_sizes_end_with_the_limit() -> None:
    """Whether or not it is a power of two."""
    assert sizes(1) == [1]
    assert sizes(8) == [1, 2, 4, 8]
    assert sizes(12) == [1, 2, 4, 8, 12]
