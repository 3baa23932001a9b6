"""How much of a device each client takes: what it holds of the queue, and what it has used of late.

A client alone may have all of it. Beside others it holds at most its share of the queue, in images and in time; and
while it has lately used more than its share of the device's time, it waits with one request at a time. What a client
has beyond its share, from when it was alone or has used too much, waits behind everybody else: then what the others
wait for stays short, however many connections the greedy one has.
"""

import math
from dataclasses import dataclass

_ACTIVE_S = 2.0  # who has asked within this time wants something of the device
_NEIGHBOUR_S = 60.0  # who has asked within this time finds free places in the queue
_REMEMBERED = 4_096  # clients, before those that owe nothing are forgotten


@dataclass(slots=True)
class Client:
    """What one client holds and owes; times are on the clock of `time.perf_counter`."""

    held: int = 0  # images that wait
    used_s: float = 0.0  # of the device, less what its share has paid off since
    at: float = 0.0  # when that was reckoned
    beyond: bool = False  # whether it had its share already when it was last given more
    alone: bool = True  # whether nobody else waited or had asked of late when it asked last


class Shares:
    """The books of one device. *part* is a client's share; *images* and *seconds* are that of the queue."""

    def __init__(self, part: float, images: float, seconds: float) -> None:
        self._part = part
        self._images = images
        self.seconds = seconds
        self._clients: dict[str, Client] = {}
        self._holders = 0  # clients that hold something
        self._latest = ""  # who asked last, and when
        self._latest_at = -math.inf
        self._other_at = -math.inf  # when somebody else did
        self.disturbed = False  # somebody has begun to ask beside one who was alone

    def ask(self, client: str, images: int, image_s: float, now: float) -> Client | str:
        """Return the client if it may have *images* more, else why it may not; who holds nothing always may."""
        if client != self._latest:
            self.disturbed |= now - self._other_at >= _ACTIVE_S
            self._latest, self._other_at = client, self._latest_at
        self._latest_at = now
        known = self._clients.get(client)
        if known is None:
            known = self._new(client, now)
        since_s = now - self._other_at
        known.alone = since_s >= _ACTIVE_S and self._holders == (known.held > 0)
        if not known.held or (known.alone and since_s >= _NEIGHBOUR_S):
            return known
        return self._complaint(known, images, image_s, now) or known

    def _complaint(self, known: Client, images: int, image_s: float, now: float) -> str | None:
        held, others = known.held + images, self._holders > 1
        if held > self._images and (others or now - self._other_at < _NEIGHBOUR_S):
            return f"{known.held} of your images wait, the limit is {self._images:g}"
        if known.alone:
            return None
        if held * image_s > self.seconds:
            return f"{known.held} of your images wait, which take longer than the {self.seconds:g} s of one client"
        if self._owed_s(known, now) > self.seconds:
            return f"you have used more than {self._part:.0%} of the device while others wait: one request at a time"
        return None

    def alone(self, client: str, now: float) -> bool:
        """Tell whether nobody else waits or has asked of late."""
        other_at = self._other_at if client == self._latest else self._latest_at
        known = self._clients.get(client)
        return now - other_at >= _ACTIVE_S and self._holders == (known is not None and known.held > 0)

    def calm(self, now: float) -> bool:
        """Tell whether not even two clients wait or have asked of late."""
        return self._holders <= 1 and now - self._other_at >= _ACTIVE_S

    def beyond(self, known: Client, images: int, image_s: float) -> bool:
        """Tell whether a client that holds something already holds more than its share with *images* more."""
        held = known.held + images
        return known.held > 0 and (held > self._images or held * image_s > self.seconds)

    def yields(self, client: str, now: float) -> bool:
        """Tell whether what a client was last given is to wait behind everybody."""
        known = self._clients.get(client)
        return known is not None and (known.beyond or self._is_overdrawn(known, client, now))

    def overdrawn(self, client: str, now: float) -> bool:
        """Tell whether a client has used more than its part of the device while somebody else asks."""
        known = self._clients.get(client)
        return known is not None and self._is_overdrawn(known, client, now)

    def take(self, known: Client, images: int, image_s: float, now: float) -> None:
        """Note that a client was given room for images."""
        known.beyond = self.beyond(known, images, image_s)
        owed_s = known.used_s - self._part * (now - known.at)
        known.used_s = images * image_s + (owed_s if owed_s > 0 else 0.0)
        known.at = now
        self._holders += not known.held
        known.held += images

    def give_back(self, client: str, images: int) -> None:
        """Note that images of a client wait no longer."""
        known = self._clients[client]
        known.held -= images
        self._holders -= not known.held

    def _new(self, client: str, now: float) -> Client:
        if len(self._clients) >= _REMEMBERED:
            self._forget(now)
        known = self._clients[client] = Client(at=now)
        return known

    def _is_overdrawn(self, known: Client, client: str, now: float) -> bool:
        owed_s = known.used_s - self._part * (now - known.at)
        return owed_s > self.seconds and not self.alone(client, now)

    def _owed_s(self, known: Client, now: float) -> float:
        return max(0.0, known.used_s - self._part * (now - known.at))

    def _forget(self, now: float) -> None:
        self._clients = {
            name: known for name, known in self._clients.items() if known.held or self._owed_s(known, now) > 0
        }
