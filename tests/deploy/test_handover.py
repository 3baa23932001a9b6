"""One server takes over from another under load, as in a rolling update: no request is lost, none is sent twice."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.deploy.balancer import Balancer
from tests.deploy.containers import image, running
from tests.e2e.server import ROOT, serving
from tests.reporting import MUST_SHOW

SAMPLE = (ROOT / "docs" / "samples" / "7.png").read_bytes()


async def hand_over(ports: list[int], requests: int, terminate: Callable[[], object]) -> Balancer:
    """Send *requests* to the two ports and end the first server after a quarter of them; return what became of them."""
    balancer = Balancer(ports, SAMPLE, b'"label":"7"')

    async def end() -> None:
        while balancer.done < requests // 4:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(terminate)

    sending: Awaitable[None] = balancer.send(requests, senders=16)
    await asyncio.gather(sending, end())
    return balancer


@pytest.mark.e2e
async def test_a_server_that_ends_hands_over_without_a_loss(tmp_path: Path) -> None:
    """The first drains on SIGTERM while the second answers; every request has one answer."""
    with serving(tmp_path, drain_delay_s=2) as first, serving(tmp_path) as second:
        balancer = await hand_over([first.port, second.port], 4000, lambda: first.process.send_signal(signal.SIGTERM))
        status = await asyncio.to_thread(first.process.wait, 30)

    assert balancer.lost == []
    assert balancer.answered.total() == 4000
    assert min(balancer.answered.values()) > 100
    assert status == 0


@pytest.mark.slow
async def test_a_container_that_ends_hands_over_without_a_loss(record_property: Callable[[str, object], None]) -> None:
    """20,000 requests, none sent twice; the second container takes over while the first drains, and that ends well."""
    record_property(MUST_SHOW, "a second takes over while the first drains under load: 0 of 20,000 lost, no retries")
    with running(image()) as first:
        first.wait_ready()
        with running(image()) as second:
            second.wait_ready()
            balancer = await hand_over([first.port, second.port], 20_000, first.terminate)
            status = await asyncio.to_thread(first.wait)
    record_property("answered by the first", balancer.answered[first.port])
    record_property("by the second", balancer.answered[second.port])
    record_property("lost", len(balancer.lost))

    assert balancer.lost == []
    assert balancer.answered.total() == 20_000
    assert min(balancer.answered.values()) > 1000
    assert status == 0
