"""The service on one core, the generator on another, and the images whose answers are known."""

import asyncio
import contextlib
import json
import os
import re
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import full_size, servers
from benchmarks.load import ROOT
from benchmarks.overload.client import Answer, Client, post

SHIPPED = ROOT / "models" / "repository"
IMAGES = 16
Settings = dict[str, object]


@dataclass(frozen=True)
class Target:
    """A running server with its images, and the first class and its probability for each as answered when idle."""

    port: int
    arbiter: int
    images: tuple[bytes, ...]
    expected: tuple[tuple[str, float], ...]

    def clients(self, count: int = 8, first: int = 10) -> list[Client]:
        """Several clients, each with an address of its own."""
        return [Client(self.port, f"127.0.0.{first + n}") for n in range(count)]

    def requests(self, *headers: str) -> list[bytes]:
        """Return a request for each image."""
        return [post(image, "/v1/classify", *headers) for image in self.images]

    def is_right(self, number: int, answer: Answer) -> bool:
        """Whether the answer to request *number* is the one for its image."""
        label, probability = self.expected[number % len(self.expected)]
        first = json.loads(answer.body)["predictions"][0]
        return bool(first["label"] == label and abs(first["probability"] - probability) < 1e-3)

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics."""
        return scrape(self.port)

    def rss_bytes(self) -> int:
        """Resident memory of the worker."""
        (worker,) = servers.worker_rss_bytes(self.arbiter)
        return worker


def scrape(port: int) -> dict[str, float]:
    """Read every sample of /metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return {name: float(value) for name, value in re.findall(r"^([^#\s].*) (\S+)$", text, re.MULTILINE)}


@contextlib.contextmanager
def pinned(**settings: object) -> Iterator[tuple[int, int]]:
    """Run the service on the first core and this process on the second; yield port and process id."""
    first, second, *_ = [*sorted(os.sched_getaffinity(0)), *sorted(os.sched_getaffinity(0))]
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {first})  # which the server inherits
    try:
        with servers.service(ROOT, **{"threads": 1, **settings}) as (url, arbiter):
            os.sched_setaffinity(0, {second})
            yield int(url.rsplit(":", 1)[1]), arbiter
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def serving(store: Path, images: Sequence[bytes], **settings: object) -> Iterator[Target]:
    """Run the service with a store and learn what it answers to each image."""
    with pinned(model_store=store, **settings) as (port, arbiter):
        client = Client(port)

        async def learn() -> list[tuple[str, float]]:
            found = []
            for image in images:
                answer = await client.send(post(image))
                first: dict[str, Any] = json.loads(answer.body)["predictions"][0]
                found.append((first["label"], first["probability"]))
            client.close()
            return found

        yield Target(port, arbiter, tuple(images), tuple(asyncio.run(learn())))


def digits() -> list[bytes]:
    """Return the golden images of the model that ships."""
    with np.load(SHIPPED / "lenet" / "1" / "golden.npz") as golden:
        ends = np.cumsum(golden["lengths"]).tolist()
        blob = golden["files"].tobytes()
    return [blob[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)][:IMAGES]


def photos(store: Path) -> list[bytes]:
    """Photographs as JPEG, a tenth of a megapixel each, of the scenes that the full-size networks were trained on."""
    import io  # noqa: PLC0415

    full_size.make(store, ["alexnet"])
    found = []
    for path in sorted(store.with_name(f"{store.name}-photos").glob("test/*/*.jpg"))[:: 240 // IMAGES][:IMAGES]:
        buffer = io.BytesIO()
        Image.open(path).resize((320, 320), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        found.append(buffer.getvalue())
    return found
