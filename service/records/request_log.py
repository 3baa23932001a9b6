"""A line of JSON for a part of the classified requests, and their images if asked for: written by a thread, bounded.

A line has time, request, client, model, best classes and times; the image itself only goes to a folder of its own,
whose oldest files make way for new ones. Several workers append to one file; who finds it full moves it aside.
"""

import fcntl
import hashlib
import json
import os
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from service.records.outcome import Answered, tops
from service.records.writer import Writer
from service.settings import Settings

_HELD_BYTES: Final = 64 * 2**20  # images that wait to be written
_SUFFIXES: Final = {b"\x89PNG": ".png", b"RIFF": ".webp", b"GIF8": ".gif"}


class _Entry(NamedTuple):
    fields: dict[str, Any]
    images: list[tuple[str, bytes]]  # name and content


class RequestLog:
    """The log; *dropped* hears of requests that were not written."""

    def __init__(self, settings: Settings, dropped: Callable[[float], None]) -> None:
        self._settings = settings
        self._dropped = dropped
        self._writer: Writer[_Entry] = Writer("request-log", self._write, dropped)
        self._held = 0
        self._lock = threading.Lock()

    def note(self, answered: Answered) -> None:
        """Queue a part of the requests."""
        if random.random() >= self._settings.request_log_share:  # noqa: S311 (no secret)
            return
        entry = _entry(answered, images=self._settings.request_log_images is not None)
        size = sum(len(data) for _, data in entry.images)
        if size:
            with self._lock:
                fits = self._held + size <= _HELD_BYTES
                self._held += size if fits else 0
            if not fits:
                self._dropped(1)
                return
        self._writer.put(entry)

    def stop(self, timeout_s: float) -> None:
        """Write what is queued."""
        self._writer.stop(timeout_s)

    def _write(self, entries: list[_Entry]) -> None:
        with self._lock:
            self._held -= sum(len(data) for entry in entries for _, data in entry.images)
        if self._settings.request_log is not None:
            lines = "".join(json.dumps(entry.fields) + "\n" for entry in entries)
            _append(self._settings.request_log, lines.encode(), self._settings.request_log_bytes)
        if (folder := self._settings.request_log_images) is not None:
            folder.mkdir(parents=True, exist_ok=True)
            for entry in entries:
                for name, data in entry.images:
                    (folder / name).write_bytes(data)
            _make_room(folder, self._settings.request_log_images_bytes)


def _entry(answered: Answered, *, images: bool) -> _Entry:
    model, timings = answered.outcome.model, answered.timings
    files = answered.outcome.files if images else ()
    names = [_name(data) for data in files]
    found = {
        top.image: {"label": top.label, "probability": round(top.probability, 6)} for top in tops(answered.outcome)
    }
    fields = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "request_id": answered.request_id,
        "trace_id": answered.trace_id,
        "client": answered.client,
        "model": model.spec.name,
        "version": model.spec.version,
        "precision": model.loaded.precision,
        "images": [
            {
                **(found.get(i) or {"code": getattr(result, "code", "internal")}),
                **({"file": names[i]} if names else {}),
            }
            for i, result in enumerate(answered.outcome.results)
        ],
        "ms": {
            stage: round(seconds * 1e3, 3)
            for stage, seconds in zip(
                ("read", "decode", "queue", "inference", "respond"), (*timings[:4], answered.respond_s), strict=True
            )
        },
    }
    return _Entry(fields, list(zip(names, files, strict=True)))


def _name(data: bytes) -> str:
    """Return a file name that sorts by time and owes nothing to the client."""
    suffix = _SUFFIXES.get(data[:4], ".jpg" if data[:2] == b"\xff\xd8" else ".bin")
    return f"{time.time_ns()}-{hashlib.sha256(data).hexdigest()[:16]}{suffix}"


def _append(path: Path, lines: bytes, limit: int) -> None:
    """Add lines to a file; one that would grow beyond *limit* bytes becomes `….1`, in place of the last one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.is_file() and path.stat().st_size + len(lines) > limit:
            path.replace(path.with_name(path.name + ".1"))
        with open(path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(lines)
    finally:
        os.close(lock)


def _make_room(folder: Path, limit: int) -> None:
    """Delete the oldest images beyond *limit* bytes; their names sort by time. Other workers may do so as well."""
    sizes = {one.name: one.stat().st_size for one in os.scandir(folder) if one.is_file()}
    total = sum(sizes.values())
    for name in sorted(sizes):
        if total <= limit:
            return
        (folder / name).unlink(missing_ok=True)
        total -= sizes[name]
