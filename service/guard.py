"""The outermost layer: every HTTP request of every path comes in here and every answer leaves here.

It gives the request its id, finds the route, reads the body within its limits, turns every failure into one shape of
JSON, and counts. It knows nothing of images or models beyond their errors' codes.
"""

import logging
import os
import random
import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_core import to_json

from models.errors import ModelError
from service import parameters, trace
from service.access.gate import Gate, audit
from service.admission import Claim, Priority, parse_priority
from service.body import Body, ClientDisconnected
from service.client import Clients
from service.errors import CLOSES_CONNECTION, RESTS, STATUS, Forbidden, RequestError, as_value
from service.http import OTHER, Request, Response, Route, Router, handler_of
from service.logs import Refusals, log_access
from service.metrics import Metrics
from service.records.outcome import Answered
from service.settings import Settings

if TYPE_CHECKING:  # where nothing is traced, nothing of it is loaded
    from service.tracing import Tracing

logger = logging.getLogger("convserve.guard")
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_ALWAYS = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
_NORMAL = Priority.NORMAL
_CLOSE = (b"connection", b"close")


class Guard:
    """The ASGI application for HTTP. *draining* says whether connections are to be closed after their answer."""

    def __init__(
        self,
        routes: Sequence[Route],
        metrics: Metrics,
        settings: Settings,
        draining: Callable[[], bool],
        *,
        records: Callable[[Answered], None] | None = None,
        tracing: "Tracing | None" = None,
    ) -> None:
        self._tracing = tracing
        self._records = records
        self._gate = Gate.of(settings)
        self._router = Router(routes)
        self._probed = frozenset(route.template for route in routes if route.probed)
        self._metrics = metrics
        self._body = Body(settings.max_body_bytes, settings.body_timeout_s)
        self._request_timeout_s = settings.request_timeout_s
        self._clients = Clients(settings.trusted_proxies)
        self._draining = draining
        self._ids = _random_ids()
        self._refusals = Refusals()
        self._access_log = settings.access_log
        self._notes = bool(tracing is not None or records is not None or settings.access_log)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1003})
            return
        started = perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        given_id = headers.get(b"x-request-id")
        request_id = given_id.decode() if given_id and _REQUEST_ID.fullmatch(given_id) else next(self._ids)
        template, role, key = OTHER, None, None
        self._metrics.in_flight.add(1)
        try:
            closes = False
            try:
                route, params = self._router.find(scope["path"])
                template, role = route.template, route.role
                if self._gate is not None and role is not None:
                    key = self._gate.admit(role, headers)
                handler = route.handlers.get(scope["method"]) or handler_of(route, scope["method"])
                claim = self._claim(started, scope, headers, key)
                body = self._body.whole(scope, headers, route)
                if body is None:
                    body = await self._body.read(scope, receive, headers, route)
                response = await handler(
                    Request(
                        request_id,
                        scope["method"],
                        scope["path"],
                        scope["query_string"],
                        headers,
                        params,
                        body,
                        perf_counter() - started,
                        claim,
                    )
                )
            except ClientDisconnected:
                self._metrics.cancelled["read"].add()
                return
            except Exception as error:  # the last place where a bug can still become an answer
                if isinstance(error, ModelError | RequestError) and error.code in STATUS:
                    response = error_response(as_value(error), request_id)
                    closes = error.code in CLOSES_CONNECTION
                    self._refused(error.code, scope, template, request_id, key)
                else:
                    fields = {"request_id": request_id, "trace_id": trace.id_of(headers)}
                    logger.exception("request %s failed", request_id, extra={"fields": fields})
                    as_value(error)
                    self._metrics.internal_errors["request"].add()
                    response = error_response(RequestError("internal error"), request_id)
            await self._send(send, response, request_id, closes=closes)
            ended = perf_counter()
        finally:
            self._metrics.in_flight.add(-1)
        self._metrics.request(template, scope["method"], response.status, started, ended, response.timings)
        if self._notes:
            self._note(_Done(scope, headers, request_id, template, key, started, ended), response)
        if role == "admin":
            audit(key, scope, response.status, request_id)

    def _refused(self, code: str, scope: Scope, template: str, request_id: str, key: str | None) -> None:
        """Count a refusal, log it, and let a client wait that asks for more than its share."""
        self._metrics.reject(code)
        if template not in self._probed:
            client, trace_id = key or self._clients.of(scope), trace.id_of(dict(scope["headers"]))
            self._refusals.note(code, client=client, request_id=request_id, trace_id=trace_id)
        if code in RESTS and "rest" in scope and not self._clients.is_proxy(scope):
            scope["rest"]()

    def _note(self, done: "_Done", response: Response) -> None:
        """Trace a request that was answered, log it, and hand it to those who write it down."""
        timings, scope, trace_id = response.timings, done.scope, None
        if self._tracing is not None:
            trace_id = self._tracing.note(done.headers, f"{scope['method']} {done.route}", done.started, response)
        if self._access_log and random.random() < self._access_log:  # noqa: S311 (no secret)
            fields = {"client": done.key or self._clients.of(scope), "trace_id": trace_id or trace.id_of(done.headers)}
            took_s = done.ended - done.started
            log_access(scope, done.route, done.request_id, status=response.status, duration_s=took_s, **fields)
        if self._records is not None and response.outcome is not None and timings is not None:
            client, trace_id = done.key or self._clients.of(scope), trace_id or trace.id_of(done.headers)
            respond_s = done.ended - timings.answered_at
            self._records(Answered(done.request_id, trace_id, client, response.outcome, timings, respond_s))

    def _claim(self, started: float, scope: Scope, headers: dict[bytes, bytes], key: str | None) -> Claim:
        """Return by when the answer is wanted, which a client may shorten, for whom, and before whom."""
        timeout_s, patient = self._request_timeout_s, False
        if (asked := headers.get(b"x-request-timeout-ms")) is not None:
            asked_ms = parameters.integer("X-Request-Timeout-Ms", asked.decode("latin-1"), 1, 999_999_999)
            timeout_s, patient = min(asked_ms / 1000, timeout_s), True
        client = key or self._clients.of(scope)
        named = headers.get(b"x-priority")
        if named is None:
            return Claim(started + timeout_s, client, _NORMAL, patient)
        priority = parse_priority(named.decode("latin-1"))
        if priority < _NORMAL and (key is None or self._gate is None or not self._gate.may_go_first(key)):
            raise Forbidden("only keys that the file says it of may ask for a high priority")
        return Claim(started + timeout_s, client, priority, patient)

    async def _send(self, send: Send, response: Response, request_id: str, *, closes: bool) -> None:
        fields = [
            (b"content-type", response.content_type),
            (b"content-length", b"%d" % len(response.body)),
            (b"x-request-id", request_id.encode()),
            *_ALWAYS,
            *response.headers,
        ]
        if closes or self._draining():
            fields.append(_CLOSE)
        await send({"type": "http.response.start", "status": response.status, "headers": fields})
        await send({"type": "http.response.body", "body": response.body})


class _Done(NamedTuple):
    """A request that was answered; the times are on the clock of `time.perf_counter`."""

    scope: Scope
    headers: dict[bytes, bytes]
    request_id: str
    route: str
    key: str | None
    started: float
    ended: float


def error_response(error: ModelError | RequestError, request_id: str) -> Response:
    """Return the one shape that every error has, with its status and headers."""
    body = to_json({"error": str(error), "code": error.code, "request_id": request_id})
    return Response(body, STATUS[error.code], headers=list(getattr(error, "headers", ())))


def _random_ids() -> Iterator[str]:
    """Yield unguessable 32-digit ids, taking randomness from the kernel for many at once."""
    while True:
        pool = os.urandom(16 * 256).hex()
        for start in range(0, len(pool), 32):
            yield pool[start : start + 32]
