"""Clients that send all the time while something happens to the server."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

from tests.e2e.server import Server
from tests.factories import shipped_digit
from tests.faults.site import settled

DIGIT, _ = shipped_digit()


class Traffic:
    """Clients that send all the time, on kept connections and on new ones, and what came of it."""

    def __init__(self, server: Server, kept: int = 2, new: int = 2) -> None:
        self.statuses: list[int] = []
        self.answers: list[dict[str, object]] = []
        self.failures: list[str] = []
        self._away = threading.Event()
        self._server = server
        self._threads = [threading.Thread(target=self._keep) for _ in range(kept)]
        self._threads += [threading.Thread(target=self._renew) for _ in range(new)]

    @contextmanager
    def __call__(self) -> Iterator["Traffic"]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._away.set()
            for thread in self._threads:
                thread.join()

    def _keep(self) -> None:
        with self._server.client() as client:
            while not self._away.is_set():
                self._send(client)

    def _renew(self) -> None:
        while not self._away.is_set():
            with self._server.client() as client:
                self._send(client)

    def _send(self, client: httpx2.Client) -> None:
        try:
            answer = client.post("/v1/classify", content=DIGIT)
        except httpx2.TransportError as error:
            self.failures.append(repr(error))
            time.sleep(0.05)
        else:
            self.statuses.append(answer.status_code)
            self.answers.append(answer.json())

    def went_on(self, requests: int = 50) -> None:
        """Wait until so many more were answered."""
        enough = len(self.statuses) + requests
        settled(lambda: len(self.statuses) >= enough, True)
