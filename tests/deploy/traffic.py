"""A load of every kind for a server whose metrics are looked at: right, wrong, too much, too slow, told the label."""

import itertools
import shutil
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from tests.e2e.server import Server
from tests.factories import encode, make_image

_SLOW_S = 0.5  # longer than the objective
CAPACITY = 16  # of the queue, fewer places than files in one of the requests


@dataclass
class Traffic:
    """Requests to one server, of images that it has not seen and of some that it has."""

    server: Server
    seeds: "itertools.count[int]" = field(default_factory=itertools.count)

    def fresh(self) -> bytes:
        """An image that no cache knows."""
        return encode(make_image(seed=next(self.seeds)))

    def send(self) -> None:
        """Answers of every sort: right ones, the client's faults, ours for lack of room, and slow ones."""
        again = self.fresh()
        with self.server.client() as client:
            for _ in range(100):
                answer = client.post("/v1/classify?threshold=0.5", content=self.fresh())
                assert answer.status_code == 200
                assert client.post("/v1/classify", content=again).status_code == 200
            self._tell(client, answer.json()["request_id"])
            assert client.post("/v1/classify", content=again[:50]).status_code == 422
            assert client.get("/nowhere").status_code == 404
            for _ in range(20):
                files = [("files", (f"{i}.png", self.fresh(), "image/png")) for i in range(CAPACITY + 4)]
                assert client.post("/v1/classify", files=files).status_code == 503
        with ThreadPoolExecutor(5) as pool:
            assert list(pool.map(lambda _: self._slowly(), range(5))) == [b"HTTP/1.1 200"] * 5

    def try_versions(self) -> None:
        """Beside version 3, which is active: 2 as a canary, 1 as a shadow."""
        with self.server.client() as client:
            for role, body in (("canary", {"version": 2, "percent": 30}), ("shadow", {"version": 1})):
                answer = client.post(f"/v1/models/lenet/{role}", json=body)
                assert answer.status_code == 200, answer.text

    def refuse(self, store: Path) -> None:
        """Ask for a version that cannot be loaded: its spec says that it is another."""
        shutil.copytree(store / "lenet" / "1", store / "lenet" / "4")
        with self.server.client() as client:
            assert client.post("/v1/models/lenet/load", json={"version": 4}).status_code == 409

    def _tell(self, client: httpx2.Client, request_id: str) -> None:
        answer = client.post("/v1/feedback", json={"request_id": request_id, "label": "3"})
        assert answer.status_code == 200, answer.text

    def _slowly(self) -> bytes:
        """Send a body with a pause in it; return the status line of the answer."""
        body = self.fresh()
        with socket.create_connection(("127.0.0.1", self.server.port)) as connection:
            connection.sendall(f"POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode())
            time.sleep(_SLOW_S)
            connection.sendall(body)
            return connection.recv(12)
