"""training/fitting/progress.py: what a run shows."""

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from training.config import FitConfig
from training.fit import fit
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


def test_the_bar_has_an_accuracy_from_the_first_batch_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the batch, while there has been no validation; then of that."""
    shown: list[dict[str, Any]] = []
    get_metrics = ProgressBar.get_metrics

    def seen(*arguments: Any) -> dict[str, Any]:
        shown.append(get_metrics(*arguments))
        return shown[-1]

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(ProgressBar, "get_metrics", seen)

    run = fit(FitConfig(epochs=1, batch_size=256), tmp_path)

    begun = [figures for figures in shown if "loss" in figures]
    assert all(list(figures) == ["loss", "accuracy", "images/s", "left"] for figures in begun)
    assert shown[-1]["accuracy"] == f"{run.validation_top1:.1%}"
