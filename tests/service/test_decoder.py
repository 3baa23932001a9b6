"""service/decoder.py: what is decoded where, and what is not decoded at all."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable
from time import perf_counter
from typing import Any

import numpy as np
import pytest

import models.preprocess
import service.decoder
from models.errors import ImageTooLarge
from models.preprocess import DecodeLimits
from service.decoder import Decoder, finished
from service.errors import DeadlinePassed, Overloaded
from tests.factories import encode, make_geometry, make_image

GREY = make_geometry()
LATER = 60.0


@pytest.fixture
async def decoder() -> AsyncIterator[Decoder]:
    """One thread, and a million pixels a request."""
    made = Decoder(DecodeLimits(), 1, 1_000_000)
    yield made
    made.stop()


def hold(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, list[int]]:
    """Let decoding in the pool wait for an event; the list remembers what was begun."""
    go_on, begun, real = threading.Event(), [], models.preprocess.preprocess

    def held(data: bytes, *arguments: Any) -> Any:
        begun.append(len(data))
        go_on.wait(10)
        return real(data, *arguments)

    monkeypatch.setattr(service.decoder, "preprocess", held)
    return go_on, begun


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
async def test_tiny_images_are_decoded_at_once(decoder: Decoder, file_format: str) -> None:
    """A thread would cost more than the work; a large one goes to a thread and gives the same."""
    for size in (100, 300):
        data = encode(make_image(size, size), file_format)

        decoded = decoder.begin(data, GREY, perf_counter() + LATER)

        assert isinstance(decoded, asyncio.Future) == (size == 300)
        array = await decoded if isinstance(decoded, Awaitable) else decoded
        assert isinstance(array, np.ndarray)
        assert array.shape == (28, 28, 1)


async def test_little_pixels_in_a_large_file_go_to_a_thread(decoder: Decoder) -> None:
    """Metadata can be made to cost more than pixels."""
    data = encode(make_image(20, 20, "RGB"), "JPEG", comment=bytes(50_000))

    decoded = decoder.begin(data, GREY, perf_counter() + LATER)

    assert isinstance(decoded, asyncio.Future)
    assert isinstance(await decoded, np.ndarray)


async def test_a_refusal_from_the_header_needs_no_thread(decoder: Decoder) -> None:
    """However large the file."""
    bomb = encode(make_image(5_000, 3_300))

    assert isinstance(decoder.begin(bomb, GREY, perf_counter() + LATER), ImageTooLarge)


def test_the_pixels_of_a_request_are_summed(decoder: Decoder) -> None:
    """From headers, whatever is wrong with the rest; files that are refused anyway do not count."""
    half, bomb = encode(make_image(700, 700)), encode(make_image(5_000, 3_300))

    decoder.check([half], GREY)
    decoder.check([half, half, b"no image", bomb], GREY)
    with pytest.raises(ImageTooLarge, match="1,470,000 pixels together exceed the limit of 1,000,000"):
        decoder.check([half, half[:5_000], half], GREY)


async def test_what_waits_past_its_deadline_is_not_decoded(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait ends at the deadline, and the work is never begun."""
    go_on, begun = hold(monkeypatch)
    image = encode(make_image(300, 300))
    now = perf_counter()
    first = decoder.begin(image, GREY, now + LATER)
    late = decoder.begin(image, GREY, now + 0.02)
    gone = decoder.begin(image, GREY, now + LATER)
    assert isinstance(first, asyncio.Future)
    assert isinstance(late, asyncio.Future)
    assert isinstance(gone, asyncio.Future)

    assert isinstance(await finished(late, now + 0.02), DeadlinePassed)
    gone.cancel()
    await asyncio.sleep(0)  # the pool hears of it in the next turn of the loop
    go_on.set()

    assert isinstance(await finished(first, now + LATER), np.ndarray)
    assert len(begun) == 1


async def test_a_job_whose_time_is_over_when_it_is_begun_is_not_done(decoder: Decoder) -> None:
    """Also when nobody has told it."""
    decoded = decoder.begin(encode(make_image(300, 300)), GREY, perf_counter() - 1)

    assert isinstance(decoded, asyncio.Future)
    assert isinstance(await decoded, DeadlinePassed)


async def test_too_little_memory_is_not_the_images_fault(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """503, come again; not 422."""

    def fails(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(service.decoder, "preprocess", fails)

    decoded = decoder.begin(encode(make_image(300, 300)), GREY, perf_counter() + LATER)

    assert isinstance(decoded, asyncio.Future)
    assert isinstance(await decoded, Overloaded)
