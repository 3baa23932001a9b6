"""training/fitting/optimise.py."""

import pytest
import torch
from torch.optim import SGD, AdamW

from training.config import FitConfig, Schedule
from training.fitting import optimise

STEPS = 100


def rates(name: Schedule) -> list[float]:
    """The learning rate of each of 100 steps, with a peak of 1."""
    config = FitConfig(schedule=name, learning_rate=1.0, optimizer="sgd")
    optimizer = optimise.optimizer(config, [torch.nn.Parameter(torch.zeros(1))])
    schedule = optimise.schedule(config, optimizer, STEPS)
    found = []
    for _ in range(STEPS):
        found.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        schedule.step()
    return found


def test_optimizers_by_name() -> None:
    """With the rate and the decay of the config."""
    for name, kind in (("adamw", AdamW), ("sgd", SGD)):
        config = FitConfig(optimizer=name, learning_rate=0.5, weight_decay=0.25)  # type: ignore[arg-type] # of a list
        optimizer = optimise.optimizer(config, [torch.nn.Parameter(torch.zeros(1))])
        assert isinstance(optimizer, kind)
        assert (optimizer.defaults["lr"], optimizer.defaults["weight_decay"]) == (0.5, 0.25)


def test_one_cycle_and_cosine_rise_to_the_peak_and_fall_to_nothing() -> None:
    """The one in the first third, the other in the first twentieth."""
    for name, peak_at in (("one-cycle", 30), ("cosine", 5)):
        found = rates(name)  # type: ignore[arg-type] # of a list
        peak = found.index(max(found))
        assert max(found) == pytest.approx(1, abs=0.01)
        assert abs(peak - peak_at) <= 1
        assert found[:peak] == sorted(found[:peak])
        assert found[peak:] == sorted(found[peak:], reverse=True)
        assert found[-1] < 0.01


def test_step_divides_by_ten_twice() -> None:
    """After half and after three quarters of the steps."""
    assert rates("step") == pytest.approx([1.0] * 50 + [0.1] * 25 + [0.01] * 25)


def test_constant_is_constant() -> None:
    """From the first step to the last."""
    assert set(rates("constant")) == {1.0}


def test_plateau_falls_where_the_loss_does_not() -> None:
    """After five epochs without a lower one."""
    config = FitConfig(schedule="plateau", learning_rate=1.0)
    optimizer = optimise.optimizer(config, [torch.nn.Parameter(torch.zeros(1))])
    schedule = optimise.schedule(config, optimizer, STEPS)
    found = []
    for loss in [3.0, 2.0] + [2.0] * 7:
        schedule.step(loss)  # type: ignore[arg-type] # the union's other member takes an epoch
        found.append(float(optimizer.param_groups[0]["lr"]))

    assert found == pytest.approx([1.0] * 7 + [0.1] * 2)
