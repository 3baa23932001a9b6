"""training/augment.py."""

import random
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.factories import make_geometry, make_image
from training.augment import jitter

STILL: dict[str, Any] = {"geometry": make_geometry(), "shift": 0, "zoom": 0, "rotate_deg": 0}


def dot(image: Image.Image) -> tuple[float, float]:
    """The centre of an image's light, as shares of its width and height."""
    light = np.asarray(image, np.float64)
    rows, columns = np.indices(light.shape)
    total = light.sum()
    return (columns * light).sum() / total / (image.width - 1), (rows * light).sum() / total / (image.height - 1)


@pytest.fixture
def picture() -> Image.Image:
    """A bright square in the middle of black."""
    image = Image.new("L", (8, 8))
    image.paste(255, (3, 3, 5, 5))
    return image


def test_the_same_seed_gives_the_same_picture(picture: Image.Image) -> None:
    """And another seed another."""
    vary = {**STILL, "shift": 0.1, "zoom": 0.1, "rotate_deg": 8}

    first, again, other = (jitter(picture, random.Random(seed), **vary).tobytes() for seed in (1, 1, 2))

    assert first == again != other


def test_without_room_nothing_moves(picture: Image.Image) -> None:
    """The picture is only resized to the geometry."""
    still = jitter(picture, random.Random(0), **STILL)

    assert still.size == (28, 28)
    assert dot(still) == pytest.approx((0.5, 0.5), abs=0.01)


def test_a_picture_moves_no_further_than_the_limit(picture: Image.Image) -> None:
    """Each way, and it does move."""
    places = [dot(jitter(picture, random.Random(seed), **{**STILL, "shift": 0.1})) for seed in range(50)]

    assert 0.05 < np.abs(np.subtract(places, 0.5)).max() < 0.11


def test_what_comes_into_view_is_background() -> None:
    """In colour too."""
    geometry = make_geometry(mode="RGB", background=(10, 20, 30))

    turned = jitter(make_image(mode="RGB"), random.Random(0), **{**STILL, "geometry": geometry, "rotate_deg": 45})

    assert {turned.getpixel(corner) for corner in ((0, 0), (27, 0), (0, 27), (27, 27))} == {(10, 20, 30)}
