"""training/fitting/progress.py: what a run shows."""

import sys
import time

import pytest

from training.fitting import progress
from training.fitting.progress import EpochLines, Pace, ProgressBar


def test_pace_counts_images_and_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten batches of 32 images in 20 seconds, 90 batches to go."""
    monkeypatch.setattr(time, "perf_counter", lambda: 20.0)
    pace = Pace(images=320, batches=10, to_do=100, began=0.0)

    assert pace.left() == "?"
    pace.done = 10

    assert pace.images_per_s() == 16
    assert pace.left() == "3:00"
    pace.to_do = 3610
    assert pace.left() == "2:00:00"


@pytest.mark.parametrize(("terminal", "kind"), [(True, ProgressBar), (False, EpochLines)])
def test_a_bar_is_for_terminals(monkeypatch: pytest.MonkeyPatch, terminal: bool, kind: type) -> None:
    """A log gets lines."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)

    assert type(progress.progress(100)) is kind
