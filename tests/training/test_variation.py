"""training/augment.py: photographs are cropped, mirrored and coloured at random, and always from a seed."""

import random
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.preprocess import fit
from models.spec import Geometry
from tests.factories import make_geometry, make_image
from training.augment import Variation, colour_jitter, random_crop

PHOTO = make_geometry(mode="RGB", height=32, width=48, resize="shorter_side", resize_px=55)
EVERYTHING: dict[str, Any] = {
    "shift": 0.1,
    "zoom": 0.1,
    "rotate_deg": 5,
    "flip": True,
    "crop": 0.5,
    "colour": 0.3,
}


def gradient(width: int, height: int) -> Image.Image:
    """An image that says in red and green where a pixel comes from, in 255ths of width and height."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, :, 0] = np.linspace(0, 255, width)
    pixels[:, :, 1] = np.linspace(0, 255, height)[:, None]
    return Image.fromarray(pixels)


@pytest.mark.parametrize("geometry", [PHOTO, make_geometry(mode="RGB"), make_geometry()])
@pytest.mark.parametrize("size", [(8, 8), (90, 60), (60, 200)])
def test_a_variation_has_the_size_of_the_geometry(geometry: Geometry, size: tuple[int, int]) -> None:
    """Of a smaller and of a larger image; its mode is left to the geometry's last step."""
    for chosen in ({}, EVERYTHING, {"shift": 0.1}, {"crop": 0.1}, {"flip": True}, {"colour": 0.5}):
        varied = Variation(geometry, **chosen)(make_image(*size, mode="RGB"), random.Random(0))

        assert (varied.size, varied.mode) == ((geometry.width, geometry.height), "RGB")


@pytest.mark.parametrize("geometry", [PHOTO, make_geometry(mode="RGB")])
def test_without_variation_it_is_what_evaluation_sees(geometry: Geometry) -> None:
    """To the bit."""
    for image in (make_image(90, 60, mode="RGB"), make_image(8, 8, mode="RGB")):
        varied = Variation(geometry)(image, random.Random(0))

        np.testing.assert_array_equal(np.asarray(varied), fit(image, geometry))


def test_the_same_seed_gives_the_same_variation() -> None:
    """And another seed another, whatever is varied."""
    for name, value in EVERYTHING.items():
        vary = Variation(PHOTO, **{name: value})
        draws = [vary(make_image(90, 60, mode="RGB"), random.Random(seed)).tobytes() for seed in (*range(20), 0)]

        assert draws[0] == draws[20]
        assert len(set(draws)) == (2 if name == "flip" else 20)


def test_every_other_image_is_mirrored() -> None:
    """Left and right, not upside down."""
    image = gradient(48, 32)
    geometry = make_geometry(mode="RGB", height=32, width=48)
    vary = Variation(geometry, flip=True)

    flipped = [vary(image, random.Random(seed)) for seed in range(200)]

    mirrored = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).tobytes()
    assert {picture.tobytes() for picture in flipped} == {image.tobytes(), mirrored}
    assert 70 < sum(picture.tobytes() == mirrored for picture in flipped) < 130


def test_a_random_crop_keeps_the_share_and_the_shape_that_it_is_told() -> None:
    """Its box is read off the colours: at least half of the area, at most a third away from the target's shape."""
    geometry = make_geometry(mode="RGB", height=64, width=64)
    areas, centres = [], []
    for seed in range(100):
        crop = np.asarray(random_crop(gradient(256, 256), random.Random(seed), geometry=geometry, least=0.5), float)
        width = (crop[:, -1, 0].mean() - crop[:, 0, 0].mean()) / 255
        height = (crop[-1, :, 1].mean() - crop[0, :, 1].mean()) / 255
        areas.append(width * height)
        centres.append((crop[..., 0].mean() / 255, crop[..., 1].mean() / 255))
        assert 0.7 < width / height < 1.4

    assert 0.45 < min(areas) < 0.6
    assert 0.9 < max(areas) <= 1
    assert np.ptp(centres, axis=0).min() > 0.2


def test_a_random_crop_fits_into_a_long_image() -> None:
    """No box is larger than the image."""
    for seed in range(50):
        crop = random_crop(make_image(400, 20), random.Random(seed), geometry=make_geometry(), least=0.9)

        assert crop.size == (28, 28)


def test_colours_change_within_the_limit() -> None:
    """Brightness by the share at most; grey images have no saturation."""
    grey = Image.new("L", (4, 4), 100)

    values = [colour_jitter(grey, random.Random(seed), 0.2).getpixel((0, 0)) for seed in range(200)]

    assert 78 <= min(int(str(value)) for value in values) < 85
    assert 115 < max(int(str(value)) for value in values) <= 121
    assert len({colour_jitter(make_image(mode="RGB"), random.Random(seed), 0.2).tobytes() for seed in range(9)}) == 9
