"""training/fitting/loading.py: the batches of an epoch."""

import pytest
import torch
from torch.utils.data import DataLoader

from training import data
from training.augment import Variation
from training.errors import InvalidOption
from training.fitting.loading import EpochBatches


def epoch(batches: EpochBatches, number: int) -> list[list[tuple[int, int]]]:
    """The batches of an epoch: of each image its index and the seed of its variation."""
    batches.set_epoch(number)
    return list(batches)


def test_an_epoch_has_every_image_once() -> None:
    """In batches of the size asked for; the last may be smaller."""
    batches = EpochBatches(10, 4, seed=0)

    got = epoch(batches, 0)

    assert [len(batch) for batch in got] == [4, 4, 2]
    assert len(batches) == 3
    assert sorted(index for batch in got for index, _ in batch) == list(range(10))


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    """Whatever was iterated over before."""
    first, second = EpochBatches(50, 8, seed=1), EpochBatches(50, 8, seed=1)
    epoch(first, 0)

    assert epoch(first, 3) == epoch(second, 3)
    assert epoch(first, 3) != epoch(first, 4)
    assert epoch(first, 3) != epoch(EpochBatches(50, 8, seed=2), 3)


def test_an_image_is_varied_anew_in_each_epoch() -> None:
    """Its seed is another one."""
    batches = EpochBatches(50, 8, seed=1)
    seeds = [dict(image for batch in epoch(batches, number) for image in batch) for number in (0, 1)]

    assert all(seeds[0][index] != seeds[1][index] for index in range(50))


def test_variations_do_not_depend_on_who_prepares_them() -> None:
    """In this process, or in one of two workers."""
    digits = data.load("digits")
    images = data.Images(digits.train, digits.geometry, Variation(digits.geometry, shift=0.1, rotate_deg=8))

    def first(workers: int) -> list[torch.Tensor]:
        batches = EpochBatches(48, 16, seed=1)
        return [pixels for pixels, _ in DataLoader(images, batch_sampler=batches, num_workers=workers)]

    for here, there in zip(first(0), first(2), strict=True):
        torch.testing.assert_close(here, there, rtol=0, atol=0)


def test_a_resumed_epoch_begins_where_it_was_left() -> None:
    """And the next one at its beginning."""
    whole, resumed = EpochBatches(50, 8, seed=0), EpochBatches(50, 8, seed=0)
    resumed.resume(2, 3)

    assert epoch(resumed, 2) == epoch(whole, 2)[3:]
    assert epoch(resumed, 3) == epoch(whole, 3)
    assert len(resumed) == 7  # of the epoch, not of what is left


@pytest.mark.parametrize("count", [48, 49, 50])
def test_processes_share_what_one_would_have_had(count: int) -> None:
    """Batch by batch; where the last does not go round, it is filled up, so that all have as many steps."""
    alone = epoch(EpochBatches(count, 8, seed=0), 1)
    shares = [epoch(EpochBatches(count, 8, seed=0, rank=rank, world=2), 1) for rank in (0, 1)]

    assert len(shares[0]) == len(shares[1]) == len(alone)
    for batch, mine, yours in zip(alone, *shares, strict=True):
        assert len(mine) == len(yours)
        assert {*mine, *yours} >= {*batch}
    assert sum(len(batch) for share in shares for batch in share) == count + count % 2


def test_an_uneven_share_is_refused() -> None:
    """With both numbers."""
    with pytest.raises(InvalidOption, match="a batch of 32 images cannot be shared by 3 processes evenly"):
        EpochBatches(100, 32, seed=0, world=3)
