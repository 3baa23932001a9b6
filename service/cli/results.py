"""Files of results, one line an image, that a run goes on with where an earlier one ended, however it ended.

A line is written whole or it is cut off again: what has its newline is done, everything else is done anew.
"""

import csv
import fcntl
import io
import json
import os
from pathlib import Path
from typing import Any, Self

_COLUMNS = ("file", "model", "version", "precision", "abstained", "error", "code")
_PER_CLASS = ("label", "class_id", "probability")


class UnusableResults(ValueError):
    """A file that cannot be gone on with; the text is one line that names it."""


class Results:
    """An output file: `.csv` has a row an image, anything else a JSON object an image."""

    def __init__(self, path: Path, top_k: int) -> None:
        self._path = path
        self._is_csv = path.suffix.lower() == ".csv"
        classes = [f"{column}_{rank}" for rank in range(1, top_k + 1) for column in _PER_CLASS]
        self._columns = [*_COLUMNS, *classes]
        self.done: set[str] = set()

    def __enter__(self) -> Self:
        """Open the file, cut off a line that was not finished, and learn what is done."""
        try:
            self._file = self._path.open("a+b")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise UnusableResults(f"{self._path}: another run is writing it") from None
        except OSError as error:
            raise UnusableResults(f"{self._path}: {error.strerror}") from error
        try:
            self._resume()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """See that it is on the disk."""
        os.fsync(self._file.fileno())
        self._file.close()

    def add(self, file: str, answer: dict[str, Any]) -> None:
        """Write what was said of *file*: `model` and `predictions`, or `error` and `code`."""
        line = (
            self._row(file, answer) if self._is_csv else json.dumps({"file": file, **answer}, ensure_ascii=False) + "\n"
        )
        self._file.write(line.encode("utf-8", "surrogateescape"))
        self._file.flush()
        self.done.add(file)

    def _resume(self) -> None:
        self._file.seek(0)
        whole = 0
        for n, line in enumerate(_lines(self._file.read(), quoted=self._is_csv)):
            self._learn(n, line.decode("utf-8", "surrogateescape"))
            whole += len(line)
        self._file.truncate(whole)
        if self._is_csv and whole == 0:
            self._file.write(_csv_line(self._columns).encode())
            self._file.flush()

    def _learn(self, n: int, line: str) -> None:
        try:
            if not self._is_csv:
                self.done.add(json.loads(line)["file"])
                return
            (row,) = csv.reader(io.StringIO(line, newline=""))
        except (ValueError, KeyError, TypeError, csv.Error) as error:
            raise UnusableResults(f"{self._path}: line {n + 1} is none of ours") from error
        if n == 0 and row != self._columns:
            raise UnusableResults(f"{self._path}: has other columns; use the same --top-k, or another file")
        if n > 0:
            self.done.add(row[0])

    def _row(self, file: str, answer: dict[str, Any]) -> str:
        model = answer.get("model", {})
        cells = [file, *(model.get(key) for key in ("name", "version", "precision"))]
        cells += [answer.get(key) for key in ("abstained", "error", "code")]
        for prediction in answer.get("predictions", ()):
            cells += [prediction[column] for column in _PER_CLASS]
        return _csv_line([*cells, *[None] * (len(self._columns) - len(cells))])


def _csv_line(cells: list[Any]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()


def _lines(content: bytes, *, quoted: bool) -> list[bytes]:
    """Return the complete lines; where cells may be *quoted*, a newline within quotes does not end one."""
    lines, start, quotes = [], 0, 0
    while (end := content.find(b"\n", start + quotes)) >= 0:
        line = content[start : end + 1]
        if quoted and line.count(b'"') % 2:
            quotes = len(line)  # look on behind this newline
            continue
        lines.append(line)
        start, quotes = end + 1, 0
    return lines
