"""training/config.py and training/recipes.py: what a run does unless told otherwise."""

from dataclasses import replace

import pytest

from training.config import FitConfig, configure
from training.data import DATASETS
from training.nets import NETS, build
from training.recipes import RECIPES, VARIETIES


def test_every_net_and_every_data_set_has_a_recipe() -> None:
    """And no other."""
    assert RECIPES.keys() == NETS.keys()
    assert VARIETIES.keys() == DATASETS.keys()


def test_the_defaults_are_lenets_on_the_digits() -> None:
    """So that the help of the command line is true."""
    assert configure("lenet", "digits") == FitConfig()


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_one_that_its_net_can_take(name: str) -> None:
    """Size and options."""
    config = configure(name, "digits")
    side_px = config.data_options.at_least

    build(name, 10, 1, (side_px, side_px), config.options)


def test_what_was_chosen_stays() -> None:
    """None was not chosen."""
    config = configure("vgg16", "folder:photos", epochs=3, width=1.0, crop=None, size=224)

    want = configure("vgg16", "folder:photos")
    assert (config.epochs, config.width, config.size) == (3, 1.0, 224)
    assert config.crop == want.crop < 1
    assert config == replace(want, epochs=3, width=1.0, size=224)


def test_writing_is_not_mirrored_and_photographs_are() -> None:
    """A 2 in the mirror is no 2."""
    assert not configure("lenet", "mnist:here").flip
    assert configure("lenet", "folder:here").flip
