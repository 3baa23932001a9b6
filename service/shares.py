"""How much of a device each client takes: what it holds of the queue, and what it has used of late.

Two rules, both for the others' sake. A client holds at most its share of the queue, in images and in time. And one that
has lately used more than its share of the device's time, while somebody else asks as well, waits with one request at a
time, behind the others and in batches of its own: then what the others wait for stays short, however many connections
the greedy one has.
"""

from dataclasses import dataclass

_ACTIVE_S = 2.0  # who has asked within this time wants something
_REMEMBERED = 4_096  # clients, before those that owe nothing are forgotten


@dataclass(slots=True)
class _Client:
    held: int = 0  # images that wait
    used_s: float = 0.0  # of the device, less what its share has paid off since
    at: float = 0.0  # when that was reckoned


class Shares:
    """The books of one device. *part* is a client's share; *images* and *seconds* are that of the queue."""

    def __init__(self, part: float, images: float, seconds: float) -> None:
        self._part = part
        self._images = images
        self._seconds = seconds
        self._clients: dict[str, _Client] = {}
        self._latest = ""  # who asked last, and when
        self._latest_at = -_ACTIVE_S
        self._other_at = -_ACTIVE_S  # when somebody else did

    def complaint(self, client: str, images: int, image_s: float, now: float) -> str | None:
        """Say why a client may not have *images* more, None if it may; who holds nothing always may."""
        self._note(client, now)
        known = self._clients.get(client)
        if known is None or not known.held:
            return None
        held = known.held + images
        if held > self._images:
            return f"{known.held} of your images wait, the limit is {self._images:g}"
        if held * image_s > self._seconds:
            return f"{known.held} of your images wait, which take longer than the {self._seconds:g} s of one client"
        if self.yields(client, now):
            return f"you have used more than {self._part:.0%} of the device while others wait: one request at a time"
        return None

    def yields(self, client: str, now: float) -> bool:
        """Tell whether a client has used more than its part of the device while somebody else asks."""
        other_at = self._other_at if client == self._latest else self._latest_at
        if now - other_at >= _ACTIVE_S:
            return False
        known = self._clients.get(client)
        return known is not None and self._owed_s(known, now) > self._seconds

    def take(self, client: str, images: int, image_s: float, now: float) -> None:
        """Note that a client was given room for images."""
        known = self._clients.get(client)
        if known is None:
            if len(self._clients) >= _REMEMBERED:
                self._forget(now)
            known = self._clients[client] = _Client(at=now)
        known.used_s = self._owed_s(known, now) + images * image_s
        known.at = now
        known.held += images

    def give_back(self, client: str, images: int) -> None:
        """Note that images of a client wait no longer."""
        self._clients[client].held -= images

    def _note(self, client: str, now: float) -> None:
        """Note who asks."""
        if client != self._latest:
            self._latest, self._other_at = client, self._latest_at
        self._latest_at = now

    def _owed_s(self, known: _Client, now: float) -> float:
        return max(0.0, known.used_s - self._part * (now - known.at))

    def _forget(self, now: float) -> None:
        self._clients = {
            name: known for name, known in self._clients.items() if known.held or self._owed_s(known, now) > 0
        }
