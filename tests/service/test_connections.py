"""service/connections.py: the sweep that cuts off those who are late."""

import asyncio
import math
from types import SimpleNamespace

from service.connections import Connections, HttpLimits


class Silent:
    """A connection that notes in which turn of the loop it was cut off."""

    def __init__(self, all_of_them: Connections, turn: list[int]) -> None:
        self.expires_at = all_of_them.loop.time() - 1
        self.cut_in: int | None = None
        self._turn = turn

    def expire(self) -> None:
        self.expires_at, self.cut_in = math.inf, self._turn[0]


async def nothing(*_: object) -> None:
    """An application that is never called."""


async def test_those_who_are_late_together_are_cut_off_a_few_at_a_time() -> None:
    """Others have their turn between; who goes on meanwhile is not cut off; all of a crowd are, within a second."""
    connections = Connections(SimpleNamespace(), nothing, HttpLimits(), asyncio.get_running_loop())
    turn = [0]
    crowd = [Silent(connections, turn) for _ in range(2_000)]
    connections.open.update(crowd)
    connections.start()

    while all(one.cut_in is None for one in crowd):
        await asyncio.sleep(0)
        turn[0] += 1
    spared = next(one for one in crowd if one.cut_in is None)
    spared.expires_at = math.inf
    while sum(one.cut_in is None for one in crowd) > 1:
        await asyncio.sleep(0.001)
        turn[0] += 1

    assert spared.cut_in is None
    portions = [sum(one.cut_in == number for one in crowd) for number in range(turn[0] + 1)]
    assert max(portions) == 20
