"""service/catalog.py: which model a request means."""

import pytest

from service.catalog import Canary, Catalog, Lineup, VersionState
from service.errors import BadParameter, NotReady, UnknownModel
from tests.service.served import served


def test_the_active_version_is_meant_when_none_is_named() -> None:
    """By the model's name, or by none where there is a default."""
    one, two, other = served(version=1), served(version=2), served("vgg")
    catalog = Catalog()
    catalog.serve({"lenet": Lineup.of(two, one), "vgg": Lineup.of(other)}, "lenet")

    assert catalog.find() is two
    assert catalog.find("lenet") is two
    assert catalog.find("vgg") is other
    assert catalog.find(version=1) is one


def test_a_version_and_a_precision_can_be_named() -> None:
    """A precision alone is one of the active version; a version alone comes in the precision that has a role."""
    active, small, old, tiny = (
        *(served(version=2), served(version=2, precision="int8")),
        *(served(version=1, precision="fp16"), served(version=1, precision="int8")),
    )
    catalog = Catalog()
    catalog.serve({"lenet": Lineup.of(active, small, old, tiny, shadow=tiny)}, "lenet")

    assert catalog.find("lenet", 2) is active
    assert catalog.find("lenet", 2, "int8") is small
    assert catalog.find("lenet", None, "int8") is small
    assert catalog.find("lenet", 1) is tiny
    assert catalog.find("lenet", 1, "fp16") is old


def test_what_is_not_served_is_refused_by_name() -> None:
    """With what there is."""
    catalog = Catalog()
    with pytest.raises(NotReady, match="no model is ready yet"):
        catalog.find()
    catalog.serve({"lenet": Lineup.of(served(version=2), served(version=1)), "vgg": Lineup.of(served("vgg"))}, None)

    with pytest.raises(BadParameter, match="model: required, as several are served: lenet, vgg"):
        catalog.find()
    with pytest.raises(UnknownModel, match="no model 'alexnet' is served; there are lenet, vgg"):
        catalog.find("alexnet")
    with pytest.raises(UnknownModel, match="lenet version 3 is not served; there are 1, 2"):
        catalog.find("lenet", 3)
    with pytest.raises(UnknownModel, match="lenet version 2 is not served in 'int8'; there are fp32"):
        catalog.find("lenet", 2, "int8")


def test_a_canary_takes_its_share_and_keeps_its_clients() -> None:
    """10 ± 1% of 10,000 clients, each always on one side, and more of the same when the share grows."""
    active, canary = served(version=1), served(version=2)
    catalog = Catalog()
    clients = [f"client-{number}" for number in range(10_000)]

    def taken(percent: float) -> set[str]:
        catalog.serve({"lenet": Lineup.of(active, canary, canary=Canary(canary, percent))}, "lenet")
        return {client for client in clients if catalog.find(client=client) is canary}

    first = taken(10)

    assert 900 <= len(first) <= 1100
    assert taken(10) == first
    assert taken(20) > first
    assert taken(0) == set()
    assert taken(100) == set(clients)
    assert catalog.find(version=1, client=clients[0]) is active


def test_requests_without_a_client_are_spread() -> None:
    """Each on its own."""
    active, canary = served(version=1), served(version=2)
    catalog = Catalog()
    catalog.serve({"lenet": Lineup.of(active, canary, canary=Canary(canary, 50))}, "lenet")

    assert {catalog.find() for _ in range(200)} == {active, canary}


def test_the_index_has_what_is_served_and_what_is_not() -> None:
    """With roles, precisions and reasons, by name and version."""
    active, small, shadow = served(version=2), served(version=2, precision="int8"), served(version=3)
    catalog = Catalog()
    catalog.serve({"lenet": Lineup.of(active, small, shadow, shadow=shadow)}, None)
    catalog.others = lambda: {
        ("alexnet", 1): VersionState("alexnet", 1, "LOADING", "proving"),
        ("lenet", 2): VersionState("lenet", 2, "UNAVAILABLE", "changed, and does not load"),
        ("lenet", 4): VersionState("lenet", 4, "UNAVAILABLE", "SHA-256 differs"),
    }

    assert catalog.index() == [
        VersionState("alexnet", 1, "LOADING", "proving"),
        VersionState("lenet", 2, "READY", "changed, and does not load", ("fp32", "int8"), ("active",)),
        VersionState("lenet", 3, "READY", "", ("fp32",), ("shadow",)),
        VersionState("lenet", 4, "UNAVAILABLE", "SHA-256 differs"),
    ]
    assert catalog.index(["alexnet"]) == [VersionState("alexnet", 1, "LOADING", "proving")]
