"""API keys: a file of their SHA-256 digests, and who a request's key belongs to.

A key is 256 random bits (`new_key`), so that its plain SHA-256 gives nothing away: a salt and a slow hash protect
secrets that can be guessed, which these can't be. Passwords of people don't belong into this file.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from service.http import Role

ROLES: tuple[Role, ...] = get_args(Role)  # a later one may do what an earlier one may
PREFIX = "cs_"  # by which secret scanners know one of ours
_LINE = re.compile(
    r"(?P<name>[A-Za-z0-9._-]{1,64})\s+(?P<role>\w+)\s+(?P<digest>[0-9a-fA-F]{64})(?:\s+(?P<rate>(?!high$)\S+))?"
    r"(?:\s+(?P<high>high))?"
)
_RATE = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)/s")
MAX_KEYS = 1000  # each is compared with on every request


class InvalidKeyFile(ValueError):
    """The file of keys cannot be used; the text is one line that names the file, the line in it and the fault."""


@dataclass(frozen=True, slots=True)
class Key:
    """One line of the file: whose key it is, what it may do, and how many requests per second at most."""

    name: str
    role: Role
    digest: bytes  # SHA-256 of the key
    rate_per_s: float | None = None  # None: what the settings say
    high: bool = False  # may ask for a high priority

    def may(self, role: Role) -> bool:
        """Return whether this key is good for what asks for *role*; admin includes classify."""
        return ROLES.index(self.role) >= ROLES.index(role)

    def line(self) -> str:
        """Return the line of the file."""
        rate = "" if self.rate_per_s is None else f" {self.rate_per_s:g}/s"
        return f"{self.name} {self.role} {self.digest.hex()}{rate}{' high' if self.high else ''}"


def new_key() -> str:
    """Return a new random key, which is shown once and never stored."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(key: str) -> bytes:
    """Return what the file says instead of the key."""
    return hashlib.sha256(key.encode()).digest()


def read(path: Path) -> tuple[Key, ...]:
    """Read a file of lines `NAME ROLE SHA256 [RATE/s] [high]`; empty ones and those after `#` don't count.

    Raises `InvalidKeyFile`, also when no key is left: nobody could be let in.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise InvalidKeyFile(f"{path}: cannot be read: {reason}") from error
    keys = [_parse(line.strip(), f"{path}:{n}") for n, line in enumerate(lines, 1) if line.strip()[:1] not in {"", "#"}]
    if not keys:
        raise InvalidKeyFile(f"{path}: holds no key; `python -m service keys new NAME` makes one")
    if len(keys) > MAX_KEYS:
        raise InvalidKeyFile(f"{path}: {len(keys)} keys; {MAX_KEYS} are the limit")
    for field in ("name", "digest"):
        values = [getattr(key, field) for key in keys]
        for n, key in enumerate(keys):
            if values.index(getattr(key, field)) != n:
                raise InvalidKeyFile(f"{path}: {field} of key {key.name!r} is there twice")
    return tuple(keys)


def find(keys: Sequence[Key], presented: bytes) -> Key | None:
    """Return the key that was presented, None if it is none of *keys*.

    Takes equally long whichever it is: every digest is compared, each in constant time.
    """
    digest = hashlib.sha256(presented).digest()
    found = None
    for key in keys:
        if hmac.compare_digest(key.digest, digest):
            found = key
    return found


def presented_in(headers: dict[bytes, bytes]) -> bytes | None:
    """Return the key in `Authorization: Bearer KEY` (RFC 6750) or `X-API-Key: KEY`, None if there is none."""
    scheme, _, credentials = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer" and credentials.strip():
        return credentials.strip()
    return headers.get(b"x-api-key", b"").strip() or None


def _parse(line: str, where: str) -> Key:
    match = _LINE.fullmatch(line)
    if match is None:
        raise InvalidKeyFile(f"{where}: must be NAME ROLE SHA256 [RATE/s] [high], the digest in 64 hexadecimal digits")
    role = next((role for role in ROLES if role == match["role"]), None)
    if role is None:
        raise InvalidKeyFile(f"{where}: role {match['role']!r}; there are {', '.join(ROLES)}")
    rate = None
    if match["rate"] is not None:
        rated = _RATE.fullmatch(match["rate"])
        if rated is None or float(rated[1]) == 0:
            raise InvalidKeyFile(f"{where}: rate {match['rate']!r}; must be like 50/s or 0.5/s")
        rate = float(rated[1])
    return Key(match["name"], role, bytes.fromhex(match["digest"]), rate, match["high"] is not None)
