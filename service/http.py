"""Requests and responses as values, and the table that finds a route: plain HTTP, nothing of images or models."""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from service.admission import Claim
from service.errors import MethodNotAllowed, NotFound

FEW_BYTES = 16 * 1024  # of bodies that are a few fields: validated in milliseconds, whatever they hold
OTHER = "_other"  # the route that metrics name for paths that do not exist


@dataclass(slots=True)
class Request:
    """One request with its body read. `headers` are lower-case, the last of equal names wins."""

    id: str
    method: str
    path: str
    query: bytes
    headers: dict[bytes, bytes]
    params: dict[str, str]  # what the {braces} of the route's template matched
    body: bytes
    read_s: float  # time until the body was complete
    claim: Claim  # by when it wants its answer, and for whom


class Timings(NamedTuple):
    """Where the time of a classified request went; `answered_at` is when only responding was left."""

    read_s: float
    decode_s: float
    queue_s: float
    inference_s: float
    answered_at: float  # on the clock of time.perf_counter()

    def header(self) -> bytes:
        """Return the Server-Timing value, durations in milliseconds (W3C Server Timing)."""
        return b"read;dur=%.3f, decode;dur=%.3f, queue;dur=%.3f, inference;dur=%.3f" % (
            self.read_s * 1e3,
            self.decode_s * 1e3,
            self.queue_s * 1e3,
            self.inference_s * 1e3,
        )


@dataclass(slots=True)
class Response:
    """One answer; the headers that every answer has are added on sending."""

    body: bytes
    status: int = 200
    content_type: bytes = b"application/json"
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    timings: Timings | None = None
    outcome: Any = None  # what came of classifying, for those who write it down


Role = Literal["classify", "admin"]
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """A path template such as `/v1/models/{name}` with a handler for each method.

    *takes_encoded* leaves content encodings to the handler; *max_body_bytes* is for bodies that need less than the
    settings' limit; refusals of what is *probed* are not logged; *role* is who may, None anybody.
    """

    template: str
    handlers: dict[str, Handler]
    takes_body: bool = False
    takes_encoded: bool = False
    max_body_bytes: int | None = None
    probed: bool = False
    role: Role | None = None

    @property
    def allowed(self) -> str:
        """Value of the Allow header."""
        methods = [*self.handlers, "HEAD"] if "GET" in self.handlers else list(self.handlers)
        return ", ".join(sorted(methods))


class Router:
    """Finds the route of a path: a dictionary for constant paths, then one pattern after the other."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._constant = {route.template: route for route in routes if "{" not in route.template}
        self._patterns = [(_pattern(route.template), route) for route in routes if "{" in route.template]

    def find(self, path: str) -> tuple[Route, dict[str, str]]:
        """Return the route and what its template's braces matched; raises `NotFound`."""
        route = self._constant.get(path)
        if route is not None:
            return route, {}
        for pattern, candidate in self._patterns:
            if match := pattern.fullmatch(path):
                return candidate, match.groupdict()
        raise NotFound("no such path")


def handler_of(route: Route, method: str) -> Handler:
    """Return the handler for *method*, HEAD being answered as GET; raises `MethodNotAllowed`."""
    handler = route.handlers.get("GET" if method == "HEAD" else method)
    if handler is None:
        raise MethodNotAllowed(method, route.allowed)
    return handler


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)
    return re.compile("".join(f"(?P<{part}>[^/]+)" if i % 2 else re.escape(part) for i, part in enumerate(parts)))
