"""service/runner.py: the task that a connection's exchanges share."""

import asyncio
import gc
from types import SimpleNamespace
from typing import Any

from service.connections import Connections, HttpLimits
from service.exchange import Exchange, Receive, Send
from service.runner import Runner
from tests.service.test_exchange import Wire, answer


class Connected(Wire):
    """A connection with a runner, which hears when an exchange is over."""

    def __init__(self, application: Any = answer) -> None:
        state = SimpleNamespace(tasks=set())
        self.state = state
        self.runner = Runner(Connections(state, application, HttpLimits(), asyncio.get_running_loop()))

    def ended(self) -> None:
        self.runner.ended()

    def start(self) -> Exchange:
        exchange = Exchange(self, {"method": "GET", "headers": []}, keeps_alive=True)
        self.runner.start(exchange)
        return exchange

    async def idle(self) -> None:
        async with asyncio.timeout(10):
            while self.state.tasks:
                await asyncio.sleep(0)


async def test_exchanges_share_one_task() -> None:
    """Which uvicorn waits for while one runs, and only then."""
    connected = Connected()
    tasks = set()
    for _ in range(3):
        exchange = connected.start()
        tasks |= connected.state.tasks
        await connected.idle()
        assert exchange.answered
    connected.runner.close()

    assert len(tasks) == 1
    async with asyncio.timeout(10):
        await tasks.pop()


async def test_one_that_was_started_before_the_other_has_returned_is_run() -> None:
    """As a pipelined one is, from within the answer to the one before it."""
    following: list[Exchange] = []

    async def application(scope: Any, receive: Receive, send: Send) -> None:
        await answer(scope, receive, send)
        if not following:
            following.append(connected.start())

    connected = Connected(application)
    connected.start()
    await connected.idle()

    assert following[0].answered
    connected.runner.close()


async def test_between_pipelined_exchanges_others_have_their_turn() -> None:
    """A thousand requests in one piece must not keep the loop to themselves."""
    events: list[str] = []

    async def application(scope: Any, receive: Receive, send: Send) -> None:
        await answer(scope, receive, send)
        events.append("exchange")
        if len(events) == 1:
            connected.start()
            asyncio.get_running_loop().call_soon(events.append, "somebody else")

    connected = Connected(application)
    connected.start()
    await connected.idle()
    connected.runner.close()

    assert events == ["exchange", "somebody else", "exchange"]


async def test_a_client_that_leaves_ends_its_exchange_and_the_task() -> None:
    """What runs is cancelled, and nothing is left behind."""
    waits = asyncio.Event()

    async def application(_scope: Any, _receive: Receive, _send: Send) -> None:
        waits.set()
        await asyncio.Event().wait()

    connected = Connected(application)
    exchange = connected.start()
    task = exchange.task
    assert task is not None
    await waits.wait()
    exchange.disconnect()
    connected.runner.close()
    async with asyncio.timeout(10):
        await task

    assert not connected.state.tasks
    del exchange, task, connected
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, Runner)]


async def test_a_client_that_leaves_before_its_exchange_began_has_none_run() -> None:
    """Though it was started."""
    began: list[Any] = []

    async def application(scope: Any, _receive: Receive, _send: Send) -> None:
        began.append(scope)

    connected = Connected(application)
    exchange = connected.start()
    task = exchange.task
    assert task is not None
    exchange.disconnect()
    connected.runner.close()
    async with asyncio.timeout(10):
        await task

    assert not began
    assert not connected.state.tasks
