"""Real networks, exported once for all tests that serve them."""

from pathlib import Path

import pytest

from tests.e2e.networks import make_networks


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a LeNet, an AlexNet and a VGG; to be copied, not written to."""
    return make_networks(tmp_path_factory.mktemp("networks"))
