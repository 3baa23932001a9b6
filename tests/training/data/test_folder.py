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


@pytest.mark.parametrize("inside", ["", "steam"])
def test_a_class_may_be_called_train(inside: str, tmp_path: Path) -> None:
    """Beside other classes, with images in it."""
    make_folder(tmp_path, {"car": 8, "ship": 8, "train": 8})
    if inside:
        make_folder(tmp_path / "train", {inside: 8})

    dataset = data.load(f"folder:{tmp_path}")

    assert dataset.labels == ("car", "ship", "train")
    parts = (dataset.train, dataset.validation, dataset.test)
    assert sum(len(part.files) for part in parts) == (32 if inside else 24)


def test_what_is_a_split_and_what_a_class_is_not_guessed(tmp_path: Path) -> None:
    """A folder with classes in it, and classes beside it."""
    make_folder(tmp_path, {"train/cat": 8, "train/dog": 8, "test/cat": 8, "test/dog": 8, "new": 8})

    with pytest.raises(InvalidData, match="is train a split, of the classes 'cat' …, or a class, as 'new' beside it"):
        data.load(f"folder:{tmp_path}")


@pytest.mark.parametrize("suffix", ["jfif", "JPE", "pjpeg", "jpg_large", "dat", ""])
def test_images_are_known_by_what_is_in_them(suffix: str, tmp_path: Path) -> None:
    """Whatever they are called."""
    make_folder(tmp_path, {"a": 8, "b": 8})
    odd = tmp_path / "a" / ("odd" + (f".{suffix}" if suffix else ""))
    odd.write_bytes(encode(make_image(8, 8, seed=99), "JPEG"))

    dataset = data.load(f"folder:{tmp_path}")

    parts = (dataset.train, dataset.validation, dataset.test)
    assert f"a/{odd.name}" in [path for part in parts for path in paths(part, tmp_path)]


@pytest.mark.parametrize("kind", ["BMP", "GIF", "TIFF"])
def test_formats_that_the_service_does_not_take_are_named(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not passed over in silence, under no name."""
    make_folder(tmp_path, {"a": 8, "b": 8})
    for name in (f"odd.{kind.lower()}", "none"):
        (tmp_path / "a" / name).write_bytes(encode(make_image(8, 8), kind))

    with caplog.at_level(logging.WARNING):
        data.load(f"folder:{tmp_path}")

    assert [message.split(": ")[1] for message in caplog.messages[:2]] == [
        str(tmp_path / "a" / name) for name in ("none", f"odd.{kind.lower()}")
    ]
    assert all(kind in message for message in caplog.messages[:2])
    assert caplog.messages[2] == "left out: 2 of 18 images"


def test_files_that_are_no_images_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In one line, with the first."""
    make_folder(tmp_path, {"a": 8, "b": 8})
    for name in ("Thumbs.db", "notes.txt"):
        (tmp_path / "b" / name).write_text("no image")

    with caplog.at_level(logging.WARNING):
        data.load(f"folder:{tmp_path}")

    assert caplog.messages == [
        f"passed over: 2 files that are no images, such as {tmp_path / 'b' / 'Thumbs.db'}",
    ]


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
