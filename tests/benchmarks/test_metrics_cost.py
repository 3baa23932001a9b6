"""benchmarks/metrics_cost.py: what passes."""

import pytest

from benchmarks.metrics_cost import judged
from benchmarks.ratios import Ratio

SPEED, EFFORT = (f"answers per {what}, all metrics ÷ nothing counted" for what in ("second", "processor second"))


@pytest.mark.parametrize(("speed", "effort"), [(0.9, 0.95), (0.95, 0.89), (0.7, 1.0)])
def test_more_than_a_tenth_is_too_much(speed: float, effort: float) -> None:
    """Of either figure; the share of quality is told and not judged."""
    ratios = {SPEED: speed, EFFORT: effort, "answers per second, all metrics ÷ no quality": 0.1}

    found = judged({name: Ratio(median, 0.0, 1.0, 0.95) for name, median in ratios.items()})

    assert found == {SPEED: speed >= 0.9, EFFORT: effort >= 0.9}
