"""Shares the connections of a server out evenly among its workers.

All of them accept from one socket, and whoever is awake first takes what has come: of 32 clients that connect together
one worker at times gets all, and as clients keep their connections, the others stay idle. So a worker that would
have two more than another hands a new connection on, unread, to the one that has fewest (its descriptor, through a Unix
socket, unix(7)). If that one cannot be reached, or shows no sign of life, the connection stays where it is.

The workers know of each other through numbers in one mapped file, where each has a row and writes in no other: how
many connections it has, when its loop last turned, since when it lives, and which was the last to arrive of those that
each of the others handed to it. Socket and file lie in a folder that the parent makes for this server, this run and
this user alone, so what is read there is believed.
"""

import asyncio
import contextlib
import logging
import math
import mmap
import os
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

logger = logging.getLogger("convserve.balance")
FOLDER: Final = "_CONVSERVE_BALANCE"  # environment variable in which the workers find the folder
_MARGIN: Final = 2  # so many more than another has: with one more, handing on would only swap the two
_BEAT_S, _DEAD_MS = 0.5, 2_000  # how often a worker shows that it lives, and when it has not for too long
_OPEN, _SEEN, _SINCE, _ARRIVED = range(4)  # columns of a row; the last and those behind it are for one worker each
_AT_ONCE: Final = 64  # connections taken in one turn of the loop
_DESCRIPTOR: Final = struct.Struct("@i")
_SPACE: Final = socket.CMSG_SPACE(_DESCRIPTOR.size)
_MESSAGE: Final = struct.Struct("=HQ")  # from which worker, and the how many-th from it to this one


class Place(NamedTuple):
    """Where the workers of a server meet, and which of them one is, from 1 on."""

    folder: Path
    number: int


class Balance:
    """The part of the worker at *place*, of *most*; *protocol* is made for each connection.

    While it is not *ready* it is handed nothing, and hands on what it has too much of.
    """

    def __init__(
        self, place: Place, most: int, protocol: Callable[[], asyncio.Protocol], ready: Callable[[], bool]
    ) -> None:
        folder, number = place
        if not 1 <= number <= most:
            raise ValueError(f"worker {number} of {most}")
        self._folder = folder
        self._number, self._protocol, self._ready = number, protocol, ready
        self._taking: set[asyncio.Task[Any]] = set()
        self._others = [other for other in range(1, most + 1) if other != number]
        self._width = _ARRIVED + most + 1
        size = 8 * self._width * (most + 1)
        descriptor = os.open(folder / "connections", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(descriptor, size)
            self._cells = memoryview(mmap.mmap(descriptor, size)).cast("Q")
        finally:
            os.close(descriptor)
        self._open = 0
        self._coming: set[int] = set()  # descriptors of connections that have arrived and are not open yet
        self._beating: asyncio.TimerHandle | None = None
        self._handed = {other: self._arrived(other) for other in self._others}
        self._known = dict.fromkeys(self._others, 0)  # since when each of them lived when it was last looked at
        self._listening = _unix_socket()
        self._from: set[socket.socket] = set()  # those who hand on to this worker
        self._to: dict[int, socket.socket] = {}

    def join(self) -> None:
        """Be handed connections from now on."""
        self._unlink()  # of one that was killed
        self._listening.bind(str(self._address(self._number)))
        self._set(_SINCE, _now_ms())
        self._listening.listen()
        asyncio.get_running_loop().add_reader(self._listening, self._accept)
        self.count(self._open)
        self._beat()

    def leave(self) -> None:
        """Be handed no more; what is on its way is still taken."""
        if self._beating is not None:
            self._beating.cancel()
        self._set(_SEEN, 0)
        self._unlink()

    def close(self) -> None:
        """Have nothing to do with the others any more."""
        self.leave()
        for one in (self._listening, *self._from):
            asyncio.get_running_loop().remove_reader(one)
        for one in (self._listening, *self._from, *self._to.values()):
            one.close()

    def count(self, connections: int) -> None:
        """Say how many connections this worker has."""
        self._open = connections
        self._set(_OPEN, connections + len(self._coming))

    def hands_on(self, transport: Any) -> bool:
        """Hand a new connection to another worker if that has fewer; the transport is then to be closed."""
        descriptor = transport.get_extra_info("socket").fileno()
        if descriptor in self._coming:  # it was handed on once: that is enough
            self._coming.discard(descriptor)  # from here on it is counted as open
            return False
        alive_ms = _now_ms() - _DEAD_MS
        living = [other for other in self._others if self._get(other, _SEEN) >= alive_ms]
        fewest, other = min(((self._has(other), other) for other in living), default=(math.inf, 0))
        if self._open + len(self._coming) + 1 - fewest < _MARGIN:
            return False
        number = self._handed[other] + 1
        try:
            message = _MESSAGE.pack(self._number, number)
            passed = (socket.SOL_SOCKET, socket.SCM_RIGHTS, _DESCRIPTOR.pack(descriptor))
            self._link(other).sendmsg([message], [passed])
        except BlockingIOError:  # it has its hands full
            return False
        except OSError:  # it is gone; another may have taken its place by the next time
            self._drop_link(other)
            return False
        self._handed[other] = number
        return True

    def _link(self, other: int) -> socket.socket:
        """Return the connection to another worker, made when it is wanted first; raises `OSError`."""
        if other not in self._to:
            link = _unix_socket()
            try:
                link.connect(str(self._address(other)))
            except OSError:
                link.close()
                raise
            self._to[other] = link
        return self._to[other]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # out of descriptors, say: then there is nothing to be handed, either
            link, _ = self._listening.accept()
            link.setblocking(False)
            self._from.add(link)
            asyncio.get_running_loop().add_reader(link, self._receive, link)

    def _receive(self, link: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                message, passed, flags, _ = link.recvmsg(_MESSAGE.size, _SPACE, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            except OSError:  # it was killed
                message, passed = b"", []
            if not message:
                asyncio.get_running_loop().remove_reader(link)
                self._from.discard(link)
                link.close()
                return
            if flags & socket.MSG_CTRUNC:
                logger.error("out of descriptors: a connection that was handed on is lost")
            sender, number = _MESSAGE.unpack(message)
            descriptors = [_DESCRIPTOR.unpack(data)[0] for _, _, data in passed]
            self._coming.update(descriptors)
            self.count(self._open)
            self._set(_ARRIVED + sender, number)
            for descriptor in descriptors:
                taking = asyncio.create_task(self._take(descriptor))
                self._taking.add(taking)
                taking.add_done_callback(self._taking.discard)

    async def _take(self, descriptor: int) -> None:
        connection: socket.socket | None = None
        try:
            connection = socket.socket(fileno=descriptor)
            connection.setblocking(False)
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)
        except (OSError, ValueError):  # the client is gone already; or it is none
            os.close(descriptor) if connection is None else connection.close()
        finally:
            self._coming.discard(descriptor)
            self.count(self._open)

    def _beat(self) -> None:
        self._set(_SEEN, _now_ms() if self._ready() else 0)  # who only refuses is soon done, and would get everything
        self._beating = asyncio.get_running_loop().call_later(_BEAT_S, self._beat)

    def _has(self, other: int) -> int:
        """Return how many connections another worker has, with those that are on their way to it from here."""
        if (since := self._get(other, _SINCE)) != self._known[other]:
            self._known[other] = since
            self._handed[other] = self._arrived(other)  # what was on its way to the one before it is lost
            self._drop_link(other)
        arrived = self._arrived(other)  # before what is open, which is written first: so none is counted nowhere
        return self._get(other, _OPEN) + self._handed[other] - arrived

    def _arrived(self, other: int) -> int:
        return self._get(other, _ARRIVED + self._number)

    def _get(self, worker: int, column: int) -> int:
        return self._cells[worker * self._width + column]

    def _set(self, column: int, value: int) -> None:
        self._cells[self._number * self._width + column] = value

    def _drop_link(self, other: int) -> None:
        if (link := self._to.pop(other, None)) is not None:
            link.close()

    def _unlink(self) -> None:
        with contextlib.suppress(OSError):
            self._address(self._number).unlink()

    def _address(self, worker: int) -> Path:
        return self._folder / f"{worker}.socket"


def _unix_socket() -> socket.socket:
    """Return a socket that keeps messages whole, and holds some hundred of them; of datagrams it would be ten."""
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
