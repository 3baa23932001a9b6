"""A bounded record of recent predictions and of the labels that were told for them, in one SQLite file for all workers.

Write-ahead logging lets workers write beside each other; one transaction takes many predictions. It knows no HTTP.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, NamedTuple

from service.quality import calibration

FILE: Final = "feedback.sqlite"
_BUSY_S: Final = 5.0
_PAIRS: Final = 100  # of the confusion, the most frequent ones
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS predictions (
    id INTEGER PRIMARY KEY, request_id TEXT NOT NULL, image INTEGER NOT NULL, model TEXT NOT NULL,
    version INTEGER NOT NULL, predicted TEXT NOT NULL, confidence REAL NOT NULL);
CREATE INDEX IF NOT EXISTS predictions_by_request ON predictions (request_id, image);
CREATE TABLE IF NOT EXISTS labelled (
    id INTEGER PRIMARY KEY, request_id TEXT NOT NULL, image INTEGER NOT NULL, model TEXT NOT NULL,
    version INTEGER NOT NULL, predicted TEXT NOT NULL, confidence REAL NOT NULL, label TEXT NOT NULL,
    UNIQUE (request_id, image));
CREATE INDEX IF NOT EXISTS labelled_by_model ON labelled (model, version);
"""


class Prediction(NamedTuple):
    """What was answered to one image of a request."""

    request_id: str
    image: int
    model: str
    version: int
    predicted: str
    confidence: float


class Figures(NamedTuple):
    """What feedback says of one version; the confusion has (label, predicted, images), most frequent first."""

    images: int
    accuracy: float
    calibration_error: float
    confusion: list[tuple[str, str, int]]


class Store:
    """The file in *folder*; at most *capacity* predictions and as many labels are kept, the newest."""

    def __init__(self, folder: Path, capacity: int) -> None:
        self._path = folder / FILE
        self._capacity = capacity

    def open(self) -> None:
        """Make the file if there is none; raises `sqlite3.Error` where that is impossible."""
        with self._connected() as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.executescript(_SCHEMA)

    def add(self, predictions: Sequence[Prediction]) -> None:
        """Write predictions, and let go of the oldest beyond the limit."""
        with self._connected() as database:
            database.executemany(
                "INSERT INTO predictions (request_id, image, model, version, predicted, confidence) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                predictions,
            )
            database.execute(
                "DELETE FROM predictions WHERE id <= (SELECT max(id) FROM predictions) - ?", (self._capacity,)
            )

    def find(self, request_id: str, image: int) -> Prediction | None:
        """Return what was answered to an image, the last time where ids come again."""
        with self._connected() as database:
            row = database.execute(
                "SELECT request_id, image, model, version, predicted, confidence FROM predictions "
                "WHERE request_id = ? AND image = ? ORDER BY id DESC LIMIT 1",
                (request_id, image),
            ).fetchone()
        return None if row is None else Prediction(*row)

    def label(self, prediction: Prediction, label: str) -> Literal["new", "known", "other"]:
        """Note the label of an image; say whether it is new, known already, or known to be another."""
        with self._connected() as database:
            added = database.execute(
                "INSERT OR IGNORE INTO labelled (request_id, image, model, version, predicted, confidence, label) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*prediction, label),
            ).rowcount
            if added:
                database.execute(
                    "DELETE FROM labelled WHERE id <= (SELECT max(id) FROM labelled) - ?", (self._capacity,)
                )
                return "new"
            (before,) = database.execute(
                "SELECT label FROM labelled WHERE request_id = ? AND image = ?", prediction[:2]
            ).fetchone()
        return "known" if before == label else "other"

    def figures(self, model: str) -> dict[int, Figures]:
        """Return what the labels say of each version of a model that has any."""
        with self._connected() as database:
            rows = database.execute(
                "SELECT version, label, predicted, confidence FROM labelled WHERE model = ?", (model,)
            ).fetchall()
        versions = sorted({row[0] for row in rows})
        return {version: _figures([row[1:] for row in rows if row[0] == version]) for version in versions}

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """Connect for one transaction: connections belong to a thread, and this costs a fraction of a millisecond."""
        database = sqlite3.connect(self._path, timeout=_BUSY_S)
        try:
            with database:
                yield database
        finally:
            database.close()


def _figures(rows: Sequence[tuple[str, str, float]]) -> Figures:
    values = [0.0] * calibration.SIZE
    pairs: dict[tuple[str, str], int] = {}
    for label, predicted, confidence in rows:
        pairs[label, predicted] = pairs.get((label, predicted), 0) + 1
        calibration.count(values, confidence, right=label == predicted)
    right = sum(images for (label, predicted), images in pairs.items() if label == predicted)
    confusion = sorted(((*pair, images) for pair, images in pairs.items()), key=lambda one: (-one[2], one[:2]))
    return Figures(len(rows), right / len(rows), calibration.error(tuple(values)) or 0.0, confusion[:_PAIRS])
