"""Any folder of images: a subfolder for each class, whose name is the label.

    photos/cat/1.jpg …  photos/dog/1.jpg …            split here, by a hash of the file name
    photos/train/cat/1.jpg …  photos/test/cat/2.jpg …  split already; what is missing is taken out of train
    photos/train/1.jpg …      photos/car/1.jpg …       a class that is called train

Every image is decoded once before anything is learned, as a request's would be; what cannot be is named and left out.
"""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from models.errors import ModelError
from models.preprocess import decode, open_image
from models.spec import Geometry
from training.data.dataset import LIMITS, Dataset, Split
from training.data.files import StoredFiles, is_image_file
from training.data.geometry import choose
from training.data.split import by_name
from training.errors import InvalidData
from training.options import DataOptions

MIN_IMAGES = 2  # of a class: one to learn from, one to test on
SPLITS: Mapping[str, tuple[str, ...]] = {"validation": ("validation", "val", "valid"), "test": ("test",)}

Classes = Mapping[str, Sequence[Path]]  # label → its images

logger = logging.getLogger(__name__)


def load(folder: Path, options: DataOptions) -> Dataset:
    """Return the images of a folder; raises `InvalidData`.

    Images that cannot be decoded are logged by path, and counted; under `strict` the first one raises.
    """
    geometry = choose("folder", options)
    places = _places(folder)
    found = {part: _readable(_classes(place), geometry, strict=options.strict) for part, place in places.items()}
    train = found["train"]
    _check_classes(places["train"], train, found, places)
    labels = tuple(train)
    split: dict[str, list[tuple[Path, int]]] = {"train": [], "validation": [], "test": []}
    for class_id, label in enumerate(labels):
        base = places["train"] / label
        names = [path.relative_to(base).as_posix() for path in train[label]]
        parts = by_name(names, validation="validation" not in found, test="test" not in found)
        for part, chosen in zip(split, parts, strict=True):
            split[part] += [(base / name, class_id) for name in chosen]
        for part in found.keys() - {"train"}:
            split[part] += [(path, class_id) for path in found[part].get(label, ())]
    if empty := [part for part, images in split.items() if not images]:
        raise InvalidData(f"{folder}: no images are left for {empty[0]}; give the classes at least 3 images each")
    return Dataset(folder.resolve().name, labels, geometry, *(_split(images) for images in split.values()))


def _places(folder: Path) -> dict[str, Path]:
    """Return the folder of each split that there is; train is the whole one, where it is not split.

    Beside classes, `train` is one too; raises `InvalidData` where it could be either.
    """
    train = folder / "train"
    if not train.is_dir():
        return {"train": folder}
    splits = {name for names in SPLITS.values() for name in names}
    if classes := [name for name in _subfolders(folder) if name != "train" and name not in splits]:
        inside = _subfolders(train)
        if inside and not any(path.is_file() and is_image_file(path) for path in train.iterdir()):
            raise InvalidData(
                f"{folder}: is train a split, of the classes {inside[0]!r} …, or a class, as {classes[0]!r} beside it? "
                "Splits and classes must not lie side by side"
            )
        return {"train": folder}
    found = {part: folder / name for part, names in SPLITS.items() for name in names if (folder / name).is_dir()}
    return {"train": train} | found


def _subfolders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] not in "._")


def _classes(folder: Path) -> Classes:
    """Return the images of each subfolder, at any depth in it; say how many files are none."""
    classes: dict[str, list[Path]] = {}
    others: list[Path] = []
    for label in _subfolders(folder):
        classes[label] = []
        for path in sorted(path for path in (folder / label).rglob("*") if path.is_file()):
            (classes[label] if is_image_file(path) else others).append(path)
    if others:
        logger.warning("passed over: %d files that are no images, such as %s", len(others), others[0])
    return classes


def _readable(classes: Classes, geometry: Geometry, *, strict: bool) -> Classes:
    """Return the images that can be decoded; say which cannot."""
    paths = [path for images in classes.values() for path in images]
    with ThreadPoolExecutor() as pool:  # decoders leave the interpreter's lock
        faults = {
            path: fault
            for path, fault in zip(paths, pool.map(lambda path: _fault(path, geometry), paths), strict=True)
            if fault is not None
        }
    for path, fault in faults.items():
        if strict:
            raise InvalidData(f"{path}: {fault} ({len(faults)} of {len(paths)} images cannot be used)")
        logger.warning("left out: %s: %s", path, fault)
    if faults:
        logger.warning("left out: %d of %d images", len(faults), len(paths))
    return {label: [path for path in images if path not in faults] for label, images in classes.items()}


def _fault(path: Path, geometry: Geometry) -> str | None:
    """Say why an image cannot be used."""
    try:
        decode(open_image(path.read_bytes(), geometry, LIMITS), geometry)
    except (ModelError, OSError) as error:
        return str(error)
    return None


def _check_classes(folder: Path, train: Classes, found: Mapping[str, Classes], places: Mapping[str, Path]) -> None:
    if len(train) < 2:
        what = "no subfolders" if not train else f"only the subfolder {next(iter(train))!r}"
        raise InvalidData(f"{folder}: {what}; at least 2 are needed, each named after its class")
    for label, images in train.items():
        if len(images) < MIN_IMAGES:
            raise InvalidData(f"{folder / label}: {len(images)} usable images; a class needs at least {MIN_IMAGES}")
    for part in found.keys() - {"train"}:
        if foreign := sorted(found[part].keys() - train.keys()):
            raise InvalidData(f"{places[part] / foreign[0]}: a class that {folder} has not")


def _split(images: Sequence[tuple[Path, int]]) -> Split:
    paths = [path for path, _ in images]
    return Split(StoredFiles(paths), np.array([class_id for _, class_id in images], np.int64))
