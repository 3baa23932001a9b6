"""Drives an ASGI application without a server, message by message, for tests that need the timing in hand."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Message = dict[str, Any]
Application = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass
class Answer:
    """What the application sent, and how many messages it took from the client."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    received: int = 0

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def chunk(body: bytes, *, more: bool = False) -> Message:
    """One piece of a request body."""
    return {"type": "http.request", "body": body, "more_body": more}


HANGS_UP: Message = {"type": "http.disconnect"}


async def request(
    application: Application,
    method: str,
    target: str,
    body: bytes | Sequence[Message] = b"",
    headers: dict[str, str] | None = None,
) -> Answer:
    """Send one request; after the messages of *body* the client says nothing more."""
    messages = [chunk(body)] if isinstance(body, bytes) else list(body)
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
        "client": ("127.0.0.1", 1),
    }
    answer = Answer()

    async def receive() -> Message:
        if answer.received == len(messages):
            await asyncio.Event().wait()
        answer.received += 1
        return messages[answer.received - 1]

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            answer.body += message["body"]

    await application(scope, receive, send)
    return answer
