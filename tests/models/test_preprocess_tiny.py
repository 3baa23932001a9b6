"""models/preprocess.py: the shorter way of tiny PNGs ends where the long one does."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from models.errors import ImageTooLarge
from models.preprocess import DecodeLimits, decode, fit, preprocess_tiny
from tests.factories import encode, make_geometry, make_image

LIMITS = DecodeLimits()
SIDES = st.integers(1, 128)


@given(
    st.sampled_from(["L", "RGB"]),
    SIDES,
    SIDES,
    st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos"]),
    st.sampled_from([None, 32]),
)
def test_the_pixels_are_those_of_the_long_way(
    mode: str, width: int, height: int, interpolation: str, resize_px: int | None
) -> None:
    """Of each size, geometry and interpolation; with how many pixels were decoded."""
    data = encode(make_image(width, height, mode=mode))
    resize = "stretch" if resize_px is None else "shorter_side"
    geometry = make_geometry(mode=mode, interpolation=interpolation, resize=resize, resize_px=resize_px)

    found = preprocess_tiny(data, geometry, LIMITS)

    assert found is not None
    array, pixels = found
    assert pixels == width * height
    assert (array == fit(decode(Image.open(io.BytesIO(data)), geometry), geometry)).all()


@pytest.mark.parametrize(
    ("data", "limits"),
    [
        (encode(make_image(mode="RGB")), LIMITS),
        (encode(make_image(), "JPEG"), LIMITS),
        (encode(make_image())[:-20], LIMITS),
        (encode(make_image()), DecodeLimits(formats=frozenset({"JPEG"}))),
    ],
)
def test_everything_else_goes_the_long_way(data: bytes, limits: DecodeLimits) -> None:
    """Another mode, another format, damage, a format that is not accepted."""
    assert preprocess_tiny(data, make_geometry(), limits) is None


def test_the_limits_hold() -> None:
    """Of pixels, as on the long way."""
    with pytest.raises(ImageTooLarge, match="20×20"):
        preprocess_tiny(encode(make_image(20, 20)), make_geometry(), DecodeLimits(max_pixels=399))
