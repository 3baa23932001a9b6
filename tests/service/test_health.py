"""service/health.py, and how the batcher tells answers that are none."""

import asyncio
import types
from typing import Any

import numpy as np
import pytest

from service import health
from service.errors import InferenceFailed
from service.health import Health
from service.outputs import Outputs
from tests.factories import make_spec
from tests.service.device import Device, entered, running, submit


def answers(*rows: float) -> Outputs:
    """Outputs of one class."""
    values = np.array([[row] for row in rows], np.float32)
    return Outputs(values, np.ones_like(values))


@pytest.mark.parametrize(
    ("rows", "unusable"),
    [
        ((1.0, -2.0), set()),
        ((1e18, -1e18), set()),
        ((3e38, 1.0), set()),  # whose square is not finite any more
        ((np.nan, 1.0), {0}),
        ((1.0, np.inf, -np.inf), {1, 2}),
    ],
)
def test_rows_that_are_no_numbers_are_found(rows: tuple[float, ...], unusable: set[int]) -> None:
    """In logits and in probabilities."""
    outputs = answers(*rows)

    assert outputs.unusable() == unusable
    assert Outputs(outputs.probabilities, outputs.logits).unusable() == unusable


class Sick(Device):
    """Gives NaN for values below 10."""

    def __call__(self, images: np.ndarray) -> Outputs:
        outputs = super().__call__(images)
        return answers(*np.where(outputs.logits[:, 0] < 10, np.nan, outputs.logits[:, 0]).tolist())


@pytest.mark.parametrize("in_loop", [False, True])
async def test_only_the_images_without_numbers_fail(in_loop: bool) -> None:
    """Their neighbours in the batch are answered."""
    async with running(Sick(), in_loop=in_loop, max_batch_size=8) as (batcher, seen):
        futures = [submit(batcher, value) for value in (1, 20, 3, 40)]
        outcomes = await asyncio.gather(*futures, return_exceptions=True)

    assert [isinstance(outcome, InferenceFailed) for outcome in outcomes] == [True, False, True, False]
    assert [int(outcomes[i].logits[0]) for i in (1, 3)] == [20, 40]  # type: ignore[union-attr]
    assert (seen.failures, seen.batches) == ([2], [2])
    assert batcher.failed_in_row == 0


async def test_failures_in_a_row_are_counted_until_an_answer() -> None:
    """Of batches without a single answer."""
    async with running(Sick()) as (batcher, _):
        for value in (1, 2, 3):
            with pytest.raises(InferenceFailed):
                await submit(batcher, value)
        assert batcher.failed_in_row == 3

        await submit(batcher, 50)

        assert batcher.failed_in_row == 0


async def test_a_batch_on_the_device_is_known_to_run() -> None:
    """For the watchdog."""
    device = Device(held=True)
    async with running(device) as (batcher, _):
        assert batcher.busy_since is None
        future = submit(batcher, 1)
        await entered(device)
        assert batcher.busy_since is not None
        device.open.set()
        await future
        assert batcher.busy_since is None


@pytest.mark.parametrize(("proof", "recovers"), [(99, True), (5, False)])
async def test_a_failing_model_is_asked_what_it_can_answer(
    monkeypatch: pytest.MonkeyPatch, proof: int, recovers: bool
) -> None:
    """It is not ready until it does."""
    monkeypatch.setattr(health, "_LOOK_S", 0.01)
    looks = asyncio.Event()
    async with running(Sick()) as (batcher, _):
        loaded = types.SimpleNamespace(proof=np.full((1, 1, 1), proof, np.uint8))
        model: Any = types.SimpleNamespace(batcher=batcher, loaded=loaded, spec=make_spec())
        well = Health(lambda: [model], 2, looks.set)
        assert well.complaint() is None
        for value in (1, 2):
            with pytest.raises(InferenceFailed):
                await submit(batcher, value)
        assert well.complaint() == "model lenet version 1 fails"

        well.start()
        await asyncio.wait_for(looks.wait(), 10)
        well.stop()

        assert (well.complaint() is None) == recovers
