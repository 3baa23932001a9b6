"""service/records/store.py: a bounded record, and what labels say of it."""

from pathlib import Path

import pytest

from service.records.store import Prediction, Store


def prediction(number: int, predicted: str = "7", confidence: float = 0.9, version: int = 1) -> Prediction:
    """The answer to request *number*."""
    return Prediction(f"request-{number}", 0, "lenet", version, predicted, confidence)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A record of five images at most."""
    made = Store(tmp_path, 5)
    made.open()
    return made


def test_another_worker_finds_what_was_written(store: Store, tmp_path: Path) -> None:
    """By request and image."""
    store.add([prediction(1), prediction(2)._replace(image=3)])
    other = Store(tmp_path, 5)
    other.open()

    assert other.find("request-1", 0) == prediction(1)
    assert other.find("request-2", 3) == prediction(2)._replace(image=3)
    assert other.find("request-2", 0) is None


def test_the_record_is_bounded(store: Store) -> None:
    """The oldest are forgotten."""
    store.add([prediction(number) for number in range(8)])

    assert [number for number in range(8) if store.find(f"request-{number}", 0)] == [3, 4, 5, 6, 7]


def test_of_equal_ids_the_last_counts(store: Store) -> None:
    """Clients choose their ids."""
    store.add([prediction(1, "3"), prediction(1, "4")])

    found = store.find("request-1", 0)

    assert found is not None
    assert found.predicted == "4"


def test_an_image_has_one_label(store: Store) -> None:
    """Told again it is known, told otherwise it is another."""
    assert [store.label(prediction(1), label) for label in "778"] == ["new", "known", "other"]


def test_figures_are_those_of_the_labels(store: Store) -> None:
    """Accuracy, calibration error by hand, confusion; by version, of those labels that are kept."""
    store.label(prediction(0, "1"), "5")
    for number, (predicted, confidence, label) in enumerate([("7", 0.9, "7"), ("7", 0.9, "7"), ("7", 0.9, "1")], 1):
        store.label(prediction(number, predicted, confidence), label)
    store.label(prediction(9, version=2), "7")
    store.label(prediction(10, version=2), "7")  # the first of all is forgotten now

    found = store.figures("lenet")

    assert set(found) == {1, 2}
    assert found[1].images == 3
    assert found[1].accuracy == pytest.approx(2 / 3)
    assert found[1].calibration_error == pytest.approx(0.9 - 2 / 3)
    assert found[1].confusion == [("7", "7", 2), ("1", "7", 1)]
    assert found[2].accuracy == 1
    assert store.figures("another") == {}
