"""Reads a request body within a limit of bytes and of time; the application then sees it whole."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any

from service.errors import BodyTooLarge, SlowClient, UnsupportedMediaType

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_DISCARD_BYTES = 2**20
_DISCARD_S = 1.0
_SWEEP_S = 0.25  # how late a late body may be noticed


class ClientDisconnected(Exception):
    """The client hung up before its body was complete; nobody is left to answer."""


class Body:
    """The limits of request bodies. One timer watches over all readers: a timer each would cost 5% of a request."""

    def __init__(self, max_bytes: int, timeout_s: float) -> None:
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._readers: dict[asyncio.Task[Any], float] = {}  # since when
        self._late: set[asyncio.Task[Any]] = set()
        self._sweeping = False

    async def read(self, receive: Receive, headers: dict[bytes, bytes]) -> bytes:
        """Return the whole body.

        Raises `BodyTooLarge`, before reading when the declared length says so; `SlowClient` when it is not complete
        in time, however steadily it drips; `UnsupportedMediaType` for a content encoding; `ClientDisconnected`.
        """
        if b"content-encoding" in headers:
            raise UnsupportedMediaType("compressed request bodies are not accepted")
        declared = headers.get(b"content-length")
        if declared is not None and int(declared) > self._max_bytes:  # the HTTP parser let only digits through
            raise self._too_large()
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a body is read in a task")  # so that the sweep can end it
        self._readers[task] = perf_counter()
        if not self._sweeping:
            self._sweeping = True
            asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep)
        try:
            return await self._receive(receive)
        except asyncio.CancelledError:
            if task not in self._late:
                raise
            self._late.discard(task)
            task.uncancel()
            raise SlowClient(f"the body was not complete within {self._timeout_s:g} s") from None
        finally:
            del self._readers[task]

    async def discard(self, receive: Receive, headers: dict[bytes, bytes]) -> None:
        """Throw away some of what a refused client still sends, so that it reads the answer instead of a reset."""
        if b"expect" in headers:  # it waits for permission to send, and must not get it
            return
        left = _DISCARD_BYTES
        try:
            async with asyncio.timeout(_DISCARD_S):
                while left > 0:
                    message = await receive()
                    left -= len(message.get("body", b""))
                    if not message.get("more_body", False):
                        return
        except TimeoutError:
            return

    async def _receive(self, receive: Receive) -> bytes:
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            body: bytes = message["body"]
            if len(body) > self._max_bytes:
                raise self._too_large()
            return body
        chunks, size = [], 0
        while True:
            if message["type"] == "http.disconnect":
                raise ClientDisconnected
            chunks.append(message["body"])
            size += len(message["body"])
            if size > self._max_bytes:
                raise self._too_large()
            if not message.get("more_body", False):
                return b"".join(chunks)
            message = await receive()

    def _sweep(self) -> None:
        bound = perf_counter() - self._timeout_s
        for task, since in self._readers.items():
            if since < bound and task not in self._late:
                self._late.add(task)
                task.cancel()
        self._sweeping = bool(self._readers)
        if self._sweeping:
            asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep)

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"the body exceeds the limit of {self._max_bytes:,} bytes")
