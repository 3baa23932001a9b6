"""What each worker of a server has applied: one small file a worker, in the state folder, that says so to the others.

A file counts as long as its worker lives, which its lock says: the kernel lets go of it when the worker ends,
however that happens.
"""

import fcntl
import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

_SUFFIX = ".worker"
_LEADER = "leader.lock"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one worker stands: the deployment's generation that it serves, and what it could not do for it."""

    pid: int
    generation: int = 0  # 0 until it serves
    troubles: dict[str, str] = field(default_factory=dict)  # of what the deployment asks for: "NAME/VERSION" → reason
    notices: dict[str, str] = field(default_factory=dict)  # of other versions in the store, the same way


class Peers:
    """This worker's standing and that of all others."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / f"{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"  # containers may share pids
        self._lock: int | None = None
        self._leader: int | None = None

    def start(self) -> None:
        """Be seen by the others, at generation 0, and clear away what dead ones left."""
        for path in self._folder.glob(f"*{_SUFFIX}"):
            if not _is_live(path):
                path.unlink(missing_ok=True)
        aside = self._path.with_suffix(".new")  # it gets its name with its lock, else it would look dead for a moment
        self._lock = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        aside.rename(self._path)
        self.say(Standing(os.getpid()))

    def stop(self) -> None:
        """Be seen no more."""
        for descriptor in (self._lock, self._leader):
            if descriptor is not None:
                os.close(descriptor)
        self._lock = self._leader = None
        self._path.unlink(missing_ok=True)

    def say(self, standing: Standing) -> None:
        """Tell the others."""
        if self._lock is None:
            return
        content = json.dumps(asdict(standing)).encode()
        # in place, as the lock belongs to this very file: padded, so that one write replaces all that was there
        size = max(len(content), os.fstat(self._lock).st_size)
        os.pwrite(self._lock, content.ljust(size), 0)

    def others(self) -> list[Standing]:
        """Return the standing of every other live worker; one that is just starting is at generation 0."""
        files = [path for path in self._folder.glob(f"*{_SUFFIX}") if path != self._path]
        return [_read(path) for path in files if _is_live(path)]

    def leads(self) -> bool:
        """Tell whether this worker is the one that acts for all; it stays so until it ends."""
        if self._leader is not None:
            return True
        descriptor = os.open(self._folder / _LEADER, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._leader = descriptor
        return True


def _read(path: Path) -> Standing:
    try:
        return Standing(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):  # just created, or being written
        return Standing(int(path.stem.partition("-")[0]))


def _is_live(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
