"""training/data/geometry.py."""

from training.data.geometry import GEOMETRIES, choose
from training.options import DataOptions


def test_a_data_set_has_a_geometry_of_its_own() -> None:
    """Nothing asked for, nothing changed."""
    assert {kind: choose(kind, DataOptions()) for kind in GEOMETRIES} == GEOMETRIES


def test_size_mode_and_resize_can_be_asked_for() -> None:
    """A shorter side that is resized is 256/224 of the crop."""
    geometry = choose("digits", DataOptions(size=224, mode="RGB", resize="shorter_side", jpeg_draft=False))

    assert (geometry.shape, geometry.resize, geometry.resize_px) == ((224, 224, 3), "shorter_side", 256)
    assert (geometry.interpolation, geometry.background, geometry.jpeg_draft) == ("bicubic", (0, 0, 0), False)


def test_photographs_can_be_stretched() -> None:
    """There is no shorter side then."""
    geometry = choose("folder", DataOptions(resize="stretch"))

    assert (geometry.shape, geometry.resize_px) == ((64, 64, 3), None)
