"""One server for all cases that leave it as it was, which is what they are about."""

from collections.abc import Iterator

import pytest

from tests.faults.site import Site, site


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The server."""
    with site(tmp_path_factory.mktemp("faults")) as made:
        yield made
