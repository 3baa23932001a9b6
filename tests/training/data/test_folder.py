"""training/data/folder.py: any folder of images, and what can be wrong with one."""

import logging
from pathlib import Path

import numpy as np
import pytest

from models.preprocess import DecodeLimits, preprocess
from tests.factories import encode, make_image
from tests.photos import make_photo_folder
from training import data
from training.data.files import StoredFiles
from training.errors import InvalidData, InvalidOption
from training.options import DataOptions


def make_folder(folder: Path, counts: dict[str, int]) -> Path:
    """Write *counts* small images, each of another picture, into subfolders; a name is a path below *folder*."""
    for label, count in counts.items():
        (folder / label).mkdir(parents=True)
        for number in range(count):
            (folder / label / f"{number}.png").write_bytes(encode(make_image(8, 8, seed=number)))
    return folder


def paths(split: data.Split, folder: Path) -> list[str]:
    """The files of a split, relative to the data set's folder."""
    files = split.files
    assert isinstance(files, StoredFiles)
    return [path.relative_to(folder).as_posix() for path in files.paths]


def test_labels_are_the_names_of_the_subfolders(tmp_path: Path) -> None:
    """In alphabetical order; what is no image, or hidden, is no matter."""
    make_folder(tmp_path, {"dog": 10, "Katze groß": 10, ".thumbnails": 3, "ape/small": 10})
    (tmp_path / "dog" / "Thumbs.db").write_text("no image")
    (tmp_path / "README.txt").write_text("photos")

    dataset = data.load(f"folder:{tmp_path}")

    assert dataset.labels == ("Katze groß", "ape", "dog")
    assert dataset.name == tmp_path.name
    parts = [dataset.train, dataset.validation, dataset.test]
    found = [path for part in parts for path in paths(part, tmp_path)]
    assert sorted(found) == sorted(
        f"{label}/{n}.png" for label in ("dog", "Katze groß", "ape/small") for n in range(10)
    )
    for part in parts:
        assert [path.split("/")[0] for path in paths(part, tmp_path)] == [dataset.labels[i] for i in part.class_ids]


def test_photographs_are_read_when_they_are_used(tmp_path: Path) -> None:
    """Their bytes are the files', and evaluation sees what the service makes of them."""
    folder = make_photo_folder(tmp_path / "photos", 48, count=20)
    dataset = data.load(f"folder:{folder}", DataOptions(size=32))

    assert dataset.labels == ("china", "flower")
    assert (dataset.geometry.shape, dataset.geometry.resize_px) == ((32, 32, 3), 37)
    images = data.Images(dataset.test, dataset.geometry)
    for index, name in enumerate(paths(dataset.test, folder)):
        content = (folder / name).read_bytes()
        assert dataset.test.files[index] == content
        want = preprocess(content, dataset.geometry, DecodeLimits())
        np.testing.assert_array_equal(images[index][0].numpy(), want, strict=True)


@pytest.mark.parametrize("name", ["validation", "val", "valid"])
def test_splits_that_are_there_are_used(name: str, tmp_path: Path) -> None:
    """Each image stays in its folder's part; a class without test images is no fault."""
    make_folder(tmp_path, {"train/a": 5, "train/b": 5, f"{name}/a": 2, f"{name}/b": 2, "test/a": 3})

    dataset = data.load(f"folder:{tmp_path}")

    for part, place, count in [(dataset.train, "train", 10), (dataset.validation, name, 4), (dataset.test, "test", 3)]:
        assert {path.split("/")[0] for path in paths(part, tmp_path)} == {place}
        assert len(part.files) == count


def test_a_split_that_is_missing_is_taken_out_of_train(tmp_path: Path) -> None:
    """Here the validation images."""
    make_folder(tmp_path, {"train/a": 20, "train/b": 20, "test/a": 3, "test/b": 3})

    dataset = data.load(f"folder:{tmp_path}")

    assert len(dataset.train.files) + len(dataset.validation.files) == 40
    assert 2 <= len(dataset.validation.files) <= 12
    assert len(dataset.test.files) == 6


def damaged(tmp_path: Path) -> Path:
    """A folder in which a text is called .jpg and half of an image is missing."""
    folder = make_folder(tmp_path / "photos", {"a": 10, "b": 10})
    (folder / "a" / "text.jpg").write_text("this is no photograph")
    (folder / "b" / "half.png").write_bytes(encode(make_image(64, 64))[:-200])
    return folder


def test_damaged_images_are_named_counted_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One line each, and one with their number."""
    folder = damaged(tmp_path)

    with caplog.at_level(logging.WARNING):
        dataset = data.load(f"folder:{folder}")

    assert [record.getMessage() for record in caplog.records] == [
        f"left out: {folder / 'a' / 'text.jpg'}: not an image: 21 bytes that start as no known image format",
        f"left out: {folder / 'b' / 'half.png'}: PNG image is truncated or damaged",
        "left out: 2 of 22 images",
    ]
    assert sum(len(part.files) for part in (dataset.train, dataset.validation, dataset.test)) == 20


def test_strict_stops_at_a_damaged_image(tmp_path: Path) -> None:
    """The first is named, all are counted."""
    folder = damaged(tmp_path)

    with pytest.raises(InvalidData) as caught:
        data.load(f"folder:{folder}", DataOptions(strict=True))

    assert str(caught.value) == (
        f"{folder / 'a' / 'text.jpg'}: not an image: 21 bytes that start as no known image format "
        "(2 of 22 images cannot be used)"
    )


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({}, "photos: no subfolders; at least 2 are needed, each named after its class"),
        ({"a": 9}, "photos: only the subfolder 'a'; at least 2 are needed, each named after its class"),
        ({"a": 9, "b": 0}, "photos/b: 0 usable images; a class needs at least 2"),
        ({"a": 1, "b": 9}, "photos/a: 1 usable images; a class needs at least 2"),
        ({"a": 2, "b": 2}, "photos: no images are left for validation; give the classes at least 3 images each"),
        ({"train/a": 3}, "photos/train: only the subfolder 'a'; at least 2 are needed, each named after its class"),
        ({"train/a": 3, "train/b": 3, "test/c": 3}, "photos/test/c: a class that {folder}/train has not"),
    ],
)
def test_a_folder_that_nothing_can_be_learned_from_is_refused(
    counts: dict[str, int], message: str, tmp_path: Path
) -> None:
    """In one line that names the folder and the limit."""
    folder = tmp_path / "photos"
    folder.mkdir()
    make_folder(folder, counts)

    with pytest.raises(InvalidData) as caught:
        data.load(f"folder:{folder}")

    assert str(caught.value) == f"{tmp_path}/{message.format(folder=folder)}"


@pytest.mark.parametrize("source", ["folder:{}/none", "mnist:{}/none", "cifar10:{}/none"])
def test_a_missing_folder_is_refused(source: str, tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(InvalidData, match=r"none: no such folder"):
        data.load(source.format(tmp_path))


def test_a_source_has_a_path_where_it_needs_one() -> None:
    """And only there."""
    with pytest.raises(InvalidOption, match="folder needs the path of its files: folder:PATH"):
        data.load("folder")
    with pytest.raises(InvalidOption, match="digits comes with the program and takes no path"):
        data.load("digits:here")


def test_a_source_means_the_same_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its path becomes absolute."""
    monkeypatch.chdir(tmp_path)

    assert data.resolve("folder:photos") == f"folder:{tmp_path}/photos"
    assert data.resolve("digits") == "digits"
