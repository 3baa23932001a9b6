"""The fuzzer in the size that CI has time for; `make fuzz` runs a million."""

import asyncio
import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import ModelError
from models.preprocess import DecodeLimits, preprocess
from tests.e2e.server import Server
from tests.factories import make_geometry
from tests.faults.site import MIB, rss_bytes
from tests.fuzz import run
from tests.fuzz.drive import drive
from tests.fuzz.images import mutated, seeds

REQUESTS, IMAGES = 10_000, 5_000


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A server and a key."""
    with run.server(tmp_path_factory.mktemp("fuzz")) as started:
        yield started


@pytest.mark.e2e
@pytest.mark.parametrize(("kind", "cases"), [("requests", REQUESTS), ("images", IMAGES)])
def test_no_case_is_a_servers_error(served: tuple[Server, str], kind: str, cases: int) -> None:
    """No 500 and no 502, no hang, no traceback, no worker lost; and the cases do get somewhere."""
    server, key = served
    (worker,) = server.workers()
    before = rss_bytes(worker)

    report, failures = run.over_a_socket(server, key, kind, cases, seed=0)

    assert failures == []
    assert report["cases"] == cases
    assert report["statuses"]["200"] > cases / 20
    assert report["statuses"]["422"] > cases / 20
    assert rss_bytes(worker) - before < 64 * MIB


@given(chance=st.randoms(use_true_random=False), place=st.integers(0, 2**16), byte=st.integers(0, 255))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_damage_is_a_model_error_or_a_picture(chance: random.Random, place: int, byte: int) -> None:
    """In the form in which hypothesis can shrink what it finds."""
    data = bytearray(mutated(chance))
    if data:
        data[place % len(data)] = byte

    try:
        array = preprocess(bytes(data), make_geometry(mode="RGB", height=32, width=32), DecodeLimits())
    except ModelError:
        return
    assert array.shape == (32, 32, 3)


def test_damaged_images_never_raise_anything_else() -> None:
    """Straight into the decoder and the model."""
    report, failures = run.decodes(2_000, seed=0)

    assert failures == []
    assert len(report["outcomes"]) >= 5


def test_the_seeds_are_pictures() -> None:
    """What is not damaged is decoded, so that damage is what is tested."""
    decoded = 0
    for data in seeds():
        try:
            preprocess(data, make_geometry(), DecodeLimits())
        except ModelError:
            continue
        decoded += 1

    assert decoded >= 18


def test_a_server_that_fails_is_found() -> None:
    """The driver calls a 500 by its name, and a silence too."""

    async def judge() -> list[str]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            tally = await drive(server.sockets[0].getsockname()[1], 8, 0, "key", images=True)
        return [what for what, _ in tally.failures]

    assert asyncio.run(judge()) == ["500"] * 8
