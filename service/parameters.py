"""Query parameters: parsed once, checked against the ones that a route knows, refused by name and range."""

import re
from collections.abc import Collection, Mapping
from urllib.parse import parse_qsl

from service.errors import BadParameter, quoted

_NUMBER = re.compile(r"([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")  # as JSON and most languages write it
MAX_VERSION = 999_999_999  # of a model; as a plan has it
_NUMBER_LENGTH = 32  # characters; 24 are all that a double has


def parse(query: bytes, known: Collection[str]) -> dict[str, str]:
    """Return the parameters of a query string; raises `BadParameter` for unknown, repeated or undecodable ones."""
    if not query:
        return {}
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError as error:
        raise BadParameter("the query string cannot be parsed") from error
    values: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            raise BadParameter(f"unknown parameter {quoted(name)}; known are {', '.join(sorted(known))}")
        if name in values:
            raise BadParameter(f"{name}: given more than once")
        values[name] = value
    return values


def integer(name: str, text: str, low: int, high: int) -> int:
    """Return *text* as an integer within [low, high]; raises `BadParameter` that names both."""
    # isdecimal and the length first: int() also takes "1_0" and " 5 ", and is slow on endless digits
    if text.isascii() and text.isdecimal() and len(text) <= 9 and low <= int(text) <= high:
        return int(text)
    raise BadParameter(f"{name}: must be a whole number from {low} to {high}")


def version(values: Mapping[str, str]) -> int | None:
    """Return the version that is asked for, None where none is; raises `BadParameter`."""
    given = values.get("version")
    return None if given is None else integer("version", given, 1, MAX_VERSION)


def one_of(name: str, text: str, allowed: Collection[int]) -> int:
    """Return *text* as one of the *allowed* numbers; raises `BadParameter` that names them."""
    for number in allowed:
        if text == str(number):
            return number
    raise BadParameter(f"{name}: must be {' or '.join(map(str, allowed))}")


def share(name: str, text: str) -> float:
    """Return *text*, a number such as 0.5 or 5e-1, within [0, 1]; raises `BadParameter`."""
    if len(text) <= _NUMBER_LENGTH and _NUMBER.fullmatch(text) and float(text) <= 1:
        return float(text)
    raise BadParameter(f"{name}: must be a number from 0 to 1")
