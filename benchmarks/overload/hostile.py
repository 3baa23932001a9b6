"""Clients that mean ill beside one that does not: hundreds of slow ones, and a greedy one with a thousand connections.

    python -m benchmarks.overload.hostile greedy|slow PORT SECONDS IMAGE

runs them in a process of their own, which yields to the generator that measures.
"""

import asyncio
import contextlib
import os
import sys
from collections import Counter
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.overload import openloop
from benchmarks.overload.client import Client, post
from benchmarks.overload.site import Target

GREEDY_CONNECTIONS = 1_000
SLOW_HEADS, SLOW_BODIES = 500, 200
_DRIP_S = 1.0


async def beside(target: Target, kind: str, *, rate: float, seconds: float, rounds: int, body: Path) -> dict[str, Any]:
    """Measure a polite client alone and beside hostile ones of a kind, in turn."""
    polite = Client(target.port, "127.0.0.3")
    alone, among, said = list[openloop.Step](), list[openloop.Step](), list[str]()

    async def measure(number: int) -> openloop.Step:
        return await openloop.run(
            [polite.send], target.requests(), target.is_right, rate=rate, seconds=seconds, seed=number
        )

    for number in range(rounds):
        alone.append(await measure(2 * number))
        words = (kind, str(target.port), str(seconds + 3), str(body))
        hostile = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.overload.hostile", *words), stdout=asyncio.subprocess.PIPE
        )
        await asyncio.sleep(2)  # until they are all there
        among.append(await measure(2 * number + 1))
        output, _ = await hostile.communicate()
        said.append(output.decode().strip())
    polite.close()
    before, after = (openloop.Step.joined(steps).summary() for steps in (alone, among))
    ratio = after["good_ms"]["p99"] / before["good_ms"]["p99"] if after["good_ms"] else None
    return {"alone": before, "beside": after, "p99_ratio": ratio and round(ratio, 2), "hostile": "; ".join(said)}


async def _greedy(port: int, seconds: float, image: bytes) -> str:
    """Ask on every connection as soon as it is answered, whatever the answer; honour nothing."""
    client, seen, ends_at = Client(port, "127.0.0.2"), Counter[int](), perf_counter() + seconds
    request = post(image)

    async def ask() -> None:
        while perf_counter() < ends_at:
            answer = await client.send(request)
            seen[answer.status] += 1
            if answer.status == 0:
                await asyncio.sleep(0.1)

    await asyncio.gather(*(ask() for _ in range(GREEDY_CONNECTIONS)))
    client.close()
    return f"{dict(seen)} on {client.opened} connections"


async def _slow(port: int, seconds: float, image: bytes) -> str:
    """Drip heads and bodies on hundreds of connections, and come again when cut off."""
    ends_at, cut = perf_counter() + seconds, 0
    head = b"POST /v1/classify HTTP/1.1\r\nHost: slow\r\n"

    async def drip(start: bytes, piece: bytes) -> None:
        nonlocal cut
        while perf_counter() < ends_at:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
                writer.write(start)
                while perf_counter() < ends_at and not reader.at_eof():
                    writer.write(piece)
                    await writer.drain()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(reader.read(1000), _DRIP_S)
                writer.close()
                cut += 1

    bodies = [drip(head + b"Content-Length: 1000\r\n\r\n", image[:1]) for _ in range(SLOW_BODIES)]
    await asyncio.gather(*bodies, *(drip(head, b"X-A: b\r\n") for _ in range(SLOW_HEADS)))
    return f"cut off {cut} times"


if __name__ == "__main__":
    os.nice(10)
    run = {"greedy": _greedy, "slow": _slow}[sys.argv[1]]
    print(asyncio.run(run(int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4]).read_bytes())))
