"""models/preprocess.py: ten crops of one image."""

import numpy as np
import pytest
from PIL import Image

from models.preprocess import fit, ten_crop
from models.spec import Geometry
from tests.factories import make_geometry, make_image

CROPPED = make_geometry(mode="RGB", height=24, width=32, resize="shorter_side", resize_px=48)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("size", [(8, 8), (28, 28), (200, 90), (61, 333)])
def test_there_are_ten_in_the_models_shape(size: tuple[int, int], mode: str) -> None:
    """uint8 (10, H, W, C), of an image of any size, under either way to resize."""
    for geometry in (make_geometry(mode=mode), CROPPED.model_copy(update={"mode": mode})):
        crops = ten_crop(make_image(*size, mode="RGB"), geometry)

        assert crops.dtype == np.uint8
        assert crops.shape == (10, *geometry.shape)


def test_the_last_five_are_mirrors_of_the_first() -> None:
    """In their order, left and right."""
    crops = ten_crop(make_image(90, 60, mode="RGB"), CROPPED)

    np.testing.assert_array_equal(crops[5:], crops[:5, :, ::-1])


@pytest.mark.parametrize("size", [(96, 48), (90, 60), (61, 333)])
def test_the_centre_is_what_fit_returns(size: tuple[int, int]) -> None:
    """Where the geometry crops."""
    image = make_image(*size, mode="RGB")

    np.testing.assert_array_equal(ten_crop(image, CROPPED)[4], fit(image, CROPPED))


def test_corners_are_corners_of_the_resized_image() -> None:
    """Of one whose shorter side has its length already: top left, top right, bottom left, bottom right."""
    image = make_image(100, 48, mode="RGB")
    pixels = np.asarray(image)

    crops = ten_crop(image, CROPPED)

    for crop, want in zip(
        crops, (pixels[:24, :32], pixels[:24, -32:], pixels[-24:, :32], pixels[-24:, -32:]), strict=False
    ):
        np.testing.assert_array_equal(crop, want)


def test_of_a_stretched_image_each_crop_is_seven_eighths_of_the_sides() -> None:
    """As 224 is of 256; all five places differ."""
    geometry: Geometry = make_geometry(mode="RGB", height=56, width=56, interpolation="box")
    image = make_image(64, 64, mode="RGB")
    pixels = np.asarray(image)

    crops = ten_crop(image, geometry)

    np.testing.assert_array_equal(crops[0], pixels[:56, :56])
    np.testing.assert_array_equal(crops[3], pixels[8:, 8:])
    np.testing.assert_array_equal(crops[4], pixels[4:60, 4:60])
    assert len({crop.tobytes() for crop in crops}) == 10


def test_an_image_without_room_gives_the_same_crop_five_times() -> None:
    """A square one whose resized side is the crop's."""
    geometry = make_geometry(mode="L", resize="shorter_side", resize_px=28)

    crops = ten_crop(Image.fromarray(np.arange(784, dtype=np.uint8).reshape(28, 28)), geometry)

    assert len({crop.tobytes() for crop in crops[:5]}) == 1
