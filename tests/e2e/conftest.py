"""What tests on real servers share: real networks, exported once, and a real browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e.browser import browsing
from tests.e2e.networks import make_networks


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a LeNet, an AlexNet and a VGG; to be copied, not written to."""
    return make_networks(tmp_path_factory.mktemp("networks"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests of a module."""
    with browsing() as started:
        yield started
