"""Numbers of one worker in a memory-mapped file that every worker of the server can read, and that outlives it.

Adding to a number is one store into mapped memory: cheap enough for every request, never lost when a worker is
killed, and true at the moment of reading. A file's lock says whether its worker lives; the numbers of dead workers
are folded into one file, so that their count does not grow with respawns. What the numbers mean is not known here.
"""

import fcntl
import json
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CAPACITY = 262_144  # doubles; pages that are never written take no memory
RETIRED = "retired.json"
_VALUES, _LAYOUT = ".values", ".layout"


@dataclass(frozen=True, slots=True)
class Series:
    """`values` of one metric with one set of label values; `pid` is its worker's, None when that has ended."""

    family: str
    labels: tuple[str, ...]
    values: tuple[float, ...]
    pid: int | None


class SharedValues:
    """Allocates series and holds their numbers, in plain memory until `start` maps the file."""

    def __init__(self) -> None:
        self.values: memoryview[float] = memoryview(bytearray(8 * CAPACITY)).cast("d")
        self._layout: list[tuple[str, tuple[str, ...], int, int]] = []
        self._used = 0
        self._folder: Path | None = None
        self._stem = ""
        self._lock: int | None = None

    def allocate(self, family: str, labels: tuple[str, ...], count: int = 1) -> int:
        """Reserve *count* numbers at 0 for one series and return the index of the first."""
        start = self._used
        if start + count > CAPACITY:
            raise MemoryError(f"more than {CAPACITY} metric values: a label is not from a closed set")
        self._used += count
        self._layout.append((family, labels, start, count))
        if self._folder is not None:
            self._write_layout()
        return start

    def start(self, folder: Path, *, keeps: Callable[[str], bool]) -> int:
        """Move the numbers into a file in *folder* and fold those of ended workers, of families that *keeps* names.

        Returns how many other workers live.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder, fcntl.LOCK_EX):
            others = _fold(folder, keeps)
            self._folder, self._stem = folder, str(os.getpid())
            self._lock = os.open(folder / (self._stem + _VALUES), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            os.ftruncate(self._lock, 8 * CAPACITY)
            mapped = memoryview(mmap.mmap(self._lock, 8 * CAPACITY)).cast("d")
            mapped[: self._used] = self.values[: self._used]
            self.values = mapped
            self._write_layout()
        return others

    def read(self) -> list[Series]:
        """Return every series of every worker, ended ones included."""
        if self._folder is None:
            return [
                Series(family, labels, tuple(self.values[start : start + count]), os.getpid())
                for family, labels, start, count in self._layout
            ]
        with _locked(self._folder, fcntl.LOCK_SH):
            series = [
                Series(family, tuple(labels), tuple(values), None)
                for family, labels, values in _read_retired(self._folder)["series"]
            ]
            for path in sorted(self._folder.glob(f"*{_VALUES}")):
                series += _read_file(path, pid=int(path.stem) if _is_live(path) else None)
        return series

    def _write_layout(self) -> None:
        if self._folder is not None:
            _replace(self._folder / (self._stem + _LAYOUT), self._layout)


def _read_file(path: Path, pid: int | None) -> Iterator[Series]:
    layout = path.with_suffix(_LAYOUT)
    if not layout.is_file():  # its worker died between making the two
        return
    entries = json.loads(layout.read_bytes())
    used = max((start + count for *_, start, count in entries), default=0)
    with path.open("rb", buffering=0) as file:
        values = memoryview(file.read(8 * used)).cast("d")
    for family, labels, start, count in entries:
        yield Series(family, tuple(labels), tuple(values[start : start + count]), pid)


def _fold(folder: Path, keeps: Callable[[str], bool]) -> int:
    """Add the numbers of dead workers to the retired ones, then delete their files; return how many live."""
    retired = _read_retired(folder)
    sums = {(family, tuple(labels)): values for family, labels, values in retired["series"]}
    files = sorted(folder.glob(f"*{_VALUES}"))
    dead = [path for path in files if not _is_live(path)]
    for path in dead:
        if path.name in retired["folded"]:  # the last fold was cut short between writing and deleting
            continue
        for series in _read_file(path, None):
            if keeps(series.family):
                before = sums.get((series.family, series.labels), [0.0] * len(series.values))
                if len(before) == len(series.values):  # else of another version of this software
                    sums[series.family, series.labels] = [a + b for a, b in zip(before, series.values, strict=True)]
    if not dead:
        return len(files)
    content = [[family, labels, values] for (family, labels), values in sums.items()]
    _replace(folder / RETIRED, {"folded": [path.name for path in dead], "series": content})
    for path in dead:
        path.with_suffix(_LAYOUT).unlink(missing_ok=True)
        path.unlink()
    _replace(folder / RETIRED, {"folded": [], "series": content})
    return len(files) - len(dead)


def _read_retired(folder: Path) -> dict[str, Any]:
    path = folder / RETIRED
    if not path.is_file():
        return {"folded": [], "series": []}
    content: dict[str, Any] = json.loads(path.read_bytes())
    return content


def _is_live(path: Path) -> bool:
    """Tell whether the worker that made the file still holds its lock; the kernel lets go of it when it ends."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _replace(path: Path, content: object) -> None:
    aside = path.with_name(path.name + ".new")
    aside.write_text(json.dumps(content))
    aside.replace(path)


@contextmanager
def _locked(folder: Path, mode: int) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, mode)
        yield
    finally:
        os.close(descriptor)
