"""Lets a request to a route in or refuses it, before its body is read; reads the file of keys anew when it changes."""

import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

from service.access import keys
from service.access.keys import InvalidKeyFile, Key
from service.access.rates import Rates
from service.errors import Forbidden, RateLimited, Unauthorized
from service.http import Role
from service.logs import PATH_CHARACTERS
from service.settings import Settings

logger = logging.getLogger("convserve.access")
audit_logger = logging.getLogger("convserve.audit")
_LOOK_S = 1.0  # how long a key that was taken out of the file may still be good


class Gate:
    """The keys and their rates, as one worker knows them; nobody gets in while there is no file that can be read."""

    def __init__(self, path: Path, rates: Rates, clock: Callable[[], float] = monotonic) -> None:
        self._path = path
        self._rates = rates
        self._clock = clock
        self._seen: tuple[int, int, int] | None = None
        self._keys: tuple[Key, ...] = ()
        self._looked_at = -math.inf

    @classmethod
    def of(cls, settings: Settings) -> "Gate | None":
        """Return the gate that the settings ask for, None if everybody is let in."""
        if settings.keys_file is None:
            return None
        return cls(settings.keys_file, Rates(settings.key_rate_per_s, settings.workers))

    def admit(self, role: Role, headers: dict[bytes, bytes]) -> str:
        """Return the name of the request's key. Raises `Unauthorized`, `Forbidden` or `RateLimited`."""
        if self._clock() - self._looked_at >= _LOOK_S:
            self._look()
        presented = keys.presented_in(headers)
        if presented is None:
            raise Unauthorized("a key is required: Authorization: Bearer KEY, or X-API-Key: KEY")
        key = keys.find(self._keys, presented)
        if key is None:
            raise Unauthorized("this key is not known")
        if not key.may(role):
            raise Forbidden(f"key {key.name} has the role {key.role}; this needs {role}")
        if retry_after_s := self._rates.retry_after_s(key):
            raise RateLimited(f"key {key.name} has used up its rate", retry_after_s)
        return key.name

    def may_go_first(self, name: str) -> bool:
        """Return whether the key of that name may ask for a high priority."""
        return any(key.high for key in self._keys if key.name == name)

    def _look(self) -> None:
        self._looked_at = self._clock()
        state = _state(self._path)
        if state == self._seen:
            return
        self._seen = state
        try:
            self._keys = keys.read(self._path)
        except InvalidKeyFile as error:
            logger.error("the keys from before stay good: %s", error)  # noqa: TRY400 (the line says it all)
        else:
            logger.info("%d keys read from %s", len(self._keys), self._path)


def audit(key: str | None, scope: Mapping[str, Any], status: int, request_id: str) -> None:
    """Write the one line that every use of an admin route leaves, refused ones included."""
    client, path = scope["client"], scope["path"]
    if len(path) > PATH_CHARACTERS:
        path = path[: PATH_CHARACTERS - 3] + "..."
    audit_logger.info(
        "%s %s: %d, key %s, client %s, request %s",
        *(scope["method"], path, status, key or "none", client[0] if client else "unknown", request_id),
    )


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino
