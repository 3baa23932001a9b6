"""training/quiet.py."""

import logging
import warnings

import pytest

from training.quiet import LOGGERS, quiet


def test_known_asides_are_silent_and_other_warnings_stay() -> None:
    """Only what is listed is dropped."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with quiet():
            warnings.warn("The 'train_dataloader' does not have many workers which may be …", stacklevel=1)
            warnings.warn("the loss is not finite", stacklevel=1)

    assert [str(warning.message) for warning in caught] == ["the loss is not finite"]


def test_the_loggers_speak_again_afterwards() -> None:
    """Also after an error."""
    before = [logging.getLogger(name).level for name in LOGGERS]

    with pytest.raises(KeyError), quiet():
        raise KeyError

    assert [logging.getLogger(name).level for name in LOGGERS] == before
