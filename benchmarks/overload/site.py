"""The service on one core, the generator on another, and the images whose answers are known."""

import asyncio
import contextlib
import io
import json
import os
import random
import re
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops

from benchmarks import full_size, servers
from benchmarks.load import ROOT
from benchmarks.overload.client import Answer, Client, Request, get, post

SHIPPED = ROOT / "models" / "repository"
IMAGES = 64  # at most; of which each has an answer of its own
SETTINGS = {"threads": 1, "drain_delay_s": 0}  # what is not as it ships
STAY = 0.9  # of the clients, where some hang up
TOLERANCE = 1e-5  # of a probability: batches of other sizes add up in another order
Probabilities = dict[str, float]  # of a label


@dataclass(frozen=True)
class Target:
    """A running server, images, and the probability of each label for each image as answered when idle."""

    port: int
    arbiter: int
    model: str
    images: tuple[bytes, ...]
    expected: tuple[Probabilities, ...]

    def clients(self, count: int = 8, first: int = 10) -> list[Client]:
        """Several clients, each with an address of its own."""
        return [Client(self.port, f"127.0.{n // 250}.{n % 250 + 1}") for n in range(first, first + count)]

    @property
    def path(self) -> str:
        """What to post an image to, so that all probabilities come."""
        return f"/v1/classify?model={self.model}&top_k={len(self.expected[0])}"

    def requests(self) -> list[Request]:
        """Return a request for each image."""
        return [post(image, self.path) for image in self.images]

    def mixed_manners(self) -> list[Request]:
        """Ten requests for each image; of a tenth the client hangs up early, and a tenth says that time is short."""
        chance = random.Random(0)  # noqa: S311 (no secret)
        requests = []
        for image in self.images * 10:
            manner, leaves_after_s = chance.randrange(10), chance.uniform(0.005, 0.1)
            headers = [f"X-Request-Timeout-Ms: {chance.randrange(50, 450)}"] if manner == 1 else []
            requests.append(post(image, self.path, *headers, leaves_after_s=None if manner else leaves_after_s))
        return requests

    def is_right(self, number: int, answer: Answer) -> bool:
        """Whether the answer to request *number* is the one for its image, in every probability."""
        return answer.status == 200 and is_close(
            probabilities(answer), self.expected[number % len(self.expected)], TOLERANCE
        )

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics."""
        return scrape(self.port)

    def rss_bytes(self) -> int:
        """Resident memory of the worker."""
        (worker,) = servers.worker_rss_bytes(self.arbiter)
        return worker


def probabilities(answer: Answer) -> Probabilities:
    """Return the probability of each label that an answer names."""
    return {one["label"]: one["probability"] for one in json.loads(answer.body)["predictions"]}


def is_close(one: Probabilities, other: Probabilities, tolerance: float) -> bool:
    """Whether no probability differs by more than that."""
    return one.keys() == other.keys() and all(abs(one[label] - other[label]) <= tolerance for label in one)


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
        with servers.service(ROOT, **{**SETTINGS, **settings}) as (url, arbiter):
            os.sched_setaffinity(0, {second})
            yield int(url.rsplit(":", 1)[1]), arbiter
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def serving(store: Path, model: str, images: Sequence[bytes], **settings: object) -> Iterator[Target]:
    """Run the service with a store and learn what it answers; images whose answers are alike are left out."""
    with pinned(model_store=store / model, default_model=model, **settings) as (port, arbiter):
        kept, expected = asyncio.run(_learn(port, model, images))
        yield Target(port, arbiter, model, tuple(kept), tuple(expected))


async def _learn(port: int, model: str, images: Sequence[bytes]) -> tuple[list[bytes], list[Probabilities]]:
    client = Client(port)
    labels = json.loads((await client.send(get(f"/v1/models/{model}/labels"))).body)["labels"]
    kept: list[bytes] = []
    expected: list[Probabilities] = []
    for image in images:
        found = probabilities(await client.send(post(image, f"/v1/classify?top_k={len(labels)}")))
        if not any(is_close(found, other, 4 * TOLERANCE) for other in expected):
            kept.append(image)
            expected.append(found)
        if len(kept) == IMAGES:
            break
    client.close()
    if len(kept) < 2:
        raise RuntimeError(f"of {len(images)} images only {len(kept)} have answers of their own")
    return kept, expected


def digits() -> list[bytes]:
    """Return the golden images of the model that ships, and each also a little moved."""
    with np.load(SHIPPED / "lenet" / "1" / "golden.npz") as golden:
        ends = np.cumsum(golden["lengths"]).tolist()
        blob = golden["files"].tobytes()
    files = [blob[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    moves = [(x, y) for x in (-2, -1, 1, 2) for y in (-2, -1, 0, 1, 2)]
    return files + [_encoded(_moved(Image.open(io.BytesIO(file)), move), "PNG") for move in moves for file in files]


def photos(store: Path) -> list[bytes]:
    """Photographs as JPEG, a tenth of a megapixel each, of the scenes that the full-size networks were trained on."""
    full_size.make(store, ["alexnet"])
    paths = sorted(store.with_name(f"{store.name}-photos").glob("test/*/*.jpg"))
    random.Random(0).shuffle(paths)  # noqa: S311 (no secret)
    large = (Image.open(path).resize((320, 320), Image.Resampling.BICUBIC) for path in paths)
    return [_encoded(image, "JPEG", quality=90) for image in large]


def _moved(image: Image.Image, by: tuple[int, int]) -> Image.Image:
    return ImageChops.offset(image.convert("L"), *by)


def _encoded(image: Image.Image, file_format: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()
