"""service/shared_values.py, with real processes: a worker that is killed loses nothing."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from service.shared_values import CAPACITY, RETIRED, Series, SharedValues

WORKER = """
import sys, time
from pathlib import Path
from service.shared_values import SharedValues
shared = SharedValues()
counter, gauge = shared.allocate("counter", ("a",)), shared.allocate("gauge", ())
shared.values[counter] += 2  # before the file
shared.start(Path(sys.argv[1]), keeps=lambda family: family == "counter")
shared.values[counter] += 40
shared.values[gauge] = 7
later = shared.allocate("counter", ("b",), 3)
shared.values[later + 2] = 1.5
print("up", flush=True)
time.sleep(60)
"""


def start_other(folder: Path) -> subprocess.Popen[bytes]:
    """Another worker process that has counted."""
    process = subprocess.Popen([sys.executable, "-c", WORKER, str(folder)], stdout=subprocess.PIPE)
    if process.stdout is None or process.stdout.readline() != b"up\n":
        raise RuntimeError("the other worker did not start")
    return process


def kill(process: subprocess.Popen[bytes]) -> None:
    """End it without a chance to say goodbye."""
    process.send_signal(signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def values(series: list[Series], family: str, *labels: str) -> list[tuple[tuple[float, ...], bool]]:
    """Values of one series, per worker, and whether that worker lives."""
    return [(one.values, one.pid is not None) for one in series if (one.family, one.labels) == (family, labels)]


def started(folder: Path) -> SharedValues:
    """This process's numbers."""
    shared = SharedValues()
    shared.start(folder, keeps=lambda family: family == "counter")
    return shared


def test_numbers_of_other_workers_are_seen_at_once(tmp_path: Path) -> None:
    """Without a flush, of series made before and after the start."""
    other = start_other(tmp_path)
    try:
        series = started(tmp_path).read()
    finally:
        kill(other)

    assert values(series, "counter", "a") == [((42.0,), True)]
    assert values(series, "counter", "b") == [((0.0, 0.0, 1.5), True)]
    assert values(series, "gauge") == [((7.0,), True)]


def test_a_killed_worker_loses_nothing(tmp_path: Path) -> None:
    """Its counters count on; readers can tell that it has ended."""
    shared = started(tmp_path)
    kill(start_other(tmp_path))

    series = shared.read()

    assert values(series, "counter", "a") == [((42.0,), False)]


def test_ended_workers_are_folded_into_one_file(tmp_path: Path) -> None:
    """Respawns do not pile up files, and gauges of the dead are forgotten."""
    for _ in range(3):
        kill(start_other(tmp_path))

    series = started(tmp_path).read()

    assert values(series, "counter", "a") == [((126.0,), False)]
    assert values(series, "counter", "b") == [((0.0, 0.0, 4.5), False)]
    assert values(series, "gauge") == []
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [RETIRED, f"{os.getpid()}.layout", f"{os.getpid()}.values"]
    )


def test_a_fold_that_was_cut_short_counts_nothing_twice(tmp_path: Path) -> None:
    """Killed between writing the sum and deleting what was summed."""
    other = start_other(tmp_path)
    kill(other)
    content = {"folded": [f"{other.pid}.values"], "series": [["counter", ["a"], [42.0]]]}
    (tmp_path / RETIRED).write_text(json.dumps(content))

    series = started(tmp_path).read()

    assert values(series, "counter", "a") == [((42.0,), False)]


def test_without_a_folder_there_is_one_worker() -> None:
    """Numbers can be read before they are shared."""
    shared = SharedValues()
    index = shared.allocate("counter", ("x",))
    shared.values[index] += 3

    assert shared.read() == [Series("counter", ("x",), (3.0,), os.getpid())]


def test_series_without_end_are_refused() -> None:
    """A label that is not from a closed set is a bug that must show."""
    shared = SharedValues()
    shared.allocate("counter", (), CAPACITY)

    with pytest.raises(MemoryError, match="not from a closed set"):
        shared.allocate("counter", ("one more",))
