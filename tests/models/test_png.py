"""models/png.py: whatever it takes, it reads as Pillow does; whatever it is unsure of, it leaves to Pillow."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from models.png import MAX_PIXELS, read, read_core
from tests.factories import encode, make_image


def by_pillow(data: bytes) -> Image.Image:
    """The reference."""
    image = Image.open(io.BytesIO(data), formats=("PNG",))
    image.load()
    return image


@given(st.sampled_from(["L", "RGB"]), st.integers(1, 60), st.integers(1, 60), st.integers(0, 9), st.integers(0, 2**31))
def test_pixels_are_those_that_pillow_reads(mode: str, width: int, height: int, level: int, seed: int) -> None:
    """Of every size and compression, whichever filters the encoder chose."""
    noise = np.random.default_rng(seed).integers(
        0, 256, (height, width) if mode == "L" else (height, width, 3), np.uint8
    )
    data = encode(Image.fromarray(noise), compress_level=level)

    image = read(data)

    assert image is not None
    assert (image.mode, image.size) == (mode, (width, height))
    assert image.tobytes() == by_pillow(data).tobytes()
    core = read_core(data, mode)
    assert core is not None
    assert (core.mode, core.size) == (mode, (width, height))
    assert image._new(core).tobytes() == image.tobytes()
    assert read_core(data, "RGB" if mode == "L" else "L") is None


def test_chunks_that_do_not_change_the_picture_are_passed_over() -> None:
    """Text, resolution and the like."""
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", "a digit")
    data = encode(make_image(), pnginfo=text, dpi=(72, 72))

    image = read(data)

    assert image is not None
    assert image.tobytes() == by_pillow(data).tobytes()


@pytest.mark.parametrize(
    "data",
    [
        encode(make_image(mode="RGBA")),
        encode(make_image(mode="LA")),
        encode(make_image(mode="P")),
        encode(make_image(mode="1")),
        encode(make_image(), transparency=0),
        encode(make_image(), exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0"),
        encode(make_image(), icc_profile=b"x" * 200),
        encode(make_image(129, 128)),
        encode(make_image(), "JPEG"),
        encode(make_image())[:-20],
        encode(make_image())[:40],
        encode(make_image()).replace(b"IDAT", b"iDAT"),
        b"",
    ],
)
def test_what_is_not_plain_is_left_to_pillow(data: bytes) -> None:
    """Other layouts, transparency, orientation, size, damage."""
    assert read(data) is None
    assert read_core(data, "L") is None


def test_the_size_limit_is_exact() -> None:
    """128 × 128 is the largest."""
    assert MAX_PIXELS == 128 * 128
    assert read(encode(make_image(128, 128))) is not None


@settings(max_examples=400)
@given(st.data())
def test_a_damaged_file_is_left_to_pillow_or_read_as_it_does(data: st.DataObject) -> None:
    """Any byte may change: the checksums say so, and nothing is read that Pillow would not."""
    original = encode(make_image())
    damaged = bytearray(original)
    position = data.draw(st.integers(0, len(original) - 1))
    damaged[position] = data.draw(st.integers(0, 255))

    image = read(bytes(damaged))

    core = None if image is None else read_core(bytes(damaged), image.mode)
    assert (core is None) == (image is None)
    if image is not None and core is not None:
        assert image.tobytes() == image._new(core).tobytes() == by_pillow(bytes(damaged)).tobytes()
