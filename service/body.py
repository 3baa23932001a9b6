"""Reads a request body within a limit of bytes and of time; the application then sees it whole."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from service.errors import BodyTooLarge, Overloaded, SlowClient, UnsupportedMediaType
from service.http import Route

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class ClientDisconnected(Exception):
    """The client hung up before its body was complete; nobody is left to answer."""


class Body:
    """The limits of request bodies."""

    def __init__(self, max_bytes: int, timeout_s: float) -> None:
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s

    def whole(self, scope: Scope, headers: dict[bytes, bytes], route: Route) -> bytes | None:
        """Return what `read` does if the body is here already, which most are, else None; raises as `read` does.

        Of a *route* that takes none the body is empty, whatever was sent.
        """
        if not route.takes_body:
            return b""
        if "whole_body" not in scope:  # our protocol has it
            return None
        limit = self._limit(route)
        self._check(headers, limit, encoded=route.takes_encoded)
        body: bytes | None = scope["whole_body"]()
        return body if body is None else _within(body, limit)

    async def read(self, scope: Scope, receive: Receive, headers: dict[bytes, bytes], route: Route) -> bytes:
        """Return the whole body, with its content encoding if *route* undoes it.

        Raises `BodyTooLarge`, before reading when the declared length says so; `SlowClient` when it is not complete
        in time, however steadily it drips; `UnsupportedMediaType` for any other content encoding; `Overloaded` when
        there is no memory for it; `ClientDisconnected`.
        """
        limit = self._limit(route)
        self._check(headers, limit, encoded=route.takes_encoded)
        try:
            if scope.get("keeps_time"):  # our protocol does, with one timer for all: one each costs 5% of a request
                return await _receive(receive, limit)
            async with asyncio.timeout(self._timeout_s):
                return await _receive(receive, limit)
        except TimeoutError:
            raise SlowClient(f"the body was not complete within {self._timeout_s:g} s") from None

    def _limit(self, route: Route) -> int:
        own = route.max_body_bytes
        return self._max_bytes if own is None else min(own, self._max_bytes)

    def _check(self, headers: dict[bytes, bytes], limit: int, *, encoded: bool) -> None:
        if not encoded and b"content-encoding" in headers:
            raise UnsupportedMediaType("compressed request bodies are not accepted")
        declared = headers.get(b"content-length")
        if declared is not None and int(declared) > limit:  # the HTTP parser let only digits through
            raise _too_large(limit)


async def _receive(receive: Receive, limit: int) -> bytes:
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        return _within(message["body"], limit)
    chunks, size = [], 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        chunks.append(message["body"])
        size += len(message["body"])
        if size > limit:
            raise _too_large(limit)
        if not message.get("more_body", False):
            try:
                return b"".join(chunks)
            except MemoryError:
                raise Overloaded("not enough memory for this body now", retry_after_s=1) from None
        message = await receive()


def _within(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise _too_large(limit)
    return body


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body exceeds the limit of {limit:,} bytes")
