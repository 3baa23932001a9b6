"""AlexNet and VGG16 as large as in their papers, trained just enough to tell two photographs apart, in all precisions.

    python -m benchmarks.full_size [alexnet vgg16] [--store build/full-size]

The images are parts of the two photographs that come with scikit-learn, 240 for the test split. It takes minutes.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_sample_image

from benchmarks.load import ROOT

STORE = ROOT / "build" / "full-size"
CLASSES = ("china", "flower")
PATCH_PX = 32  # 13 × 20 of them in a photograph, none over another
SHARES = {"test": 120, "validation": 20, "train": 48}  # images of a class
LEARNING_RATE = {"alexnet": 3e-4, "vgg16": 1e-4}  # without pretrained weights, for a few steps
EPOCHS = {"alexnet": 3, "vgg16": 5}  # VGG16 after one is 61% right, and its int8 is refused


def main() -> None:
    """Train what the store has not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nets", nargs="*", default=list(LEARNING_RATE), choices=list(LEARNING_RATE))
    parser.add_argument("--store", type=Path, default=STORE)
    arguments = parser.parse_args()
    make(arguments.store, arguments.nets)


def make(store: Path, nets: Sequence[str]) -> None:
    """Put a version of each of *nets* into *store* that has none yet, through the command line of training."""
    missing = [net for net in nets if not (store / net).exists()]
    photos = store.with_name(f"{store.name}-photos")
    if missing and not photos.exists():
        make_photos(photos)
    for net in missing:
        fit(net, photos, store)


def fit(net: str, photos: Path, store: Path) -> None:
    """Train one network at full width on 224×224 pixels, export and measure it."""
    options = {
        "net": net,
        "dataset": f"folder:{photos}",
        "size": 224,
        "width": 1,
        "init": "kaiming",
        "crop": 1,
        "epochs": EPOCHS[net],
        "batch-size": 8,
        "learning-rate": LEARNING_RATE[net],
        "runs": store.with_name(f"{store.name}-runs"),
        "store": store,
    }
    words = [word for option, value in options.items() for word in (f"--{option}", str(value))]
    subprocess.run([sys.executable, "-m", "training", "fit", *words], cwd=ROOT, check=True)


def make_photos(folder: Path) -> None:
    """Write `<folder>/<split>/<class>/<number>.jpg`; a patch of each row and column in turn goes to the test split."""
    for label in CLASSES:
        photo = Image.fromarray(load_sample_image(f"{label}.jpg"))
        corners = [
            (column * PATCH_PX, row * PATCH_PX)
            for row in range(photo.height // PATCH_PX)
            for column in range(photo.width // PATCH_PX)
        ]
        spread = [corner for offset in range(7) for corner in corners[offset::7]]  # neighbours into different splits
        for split, count in SHARES.items():
            place = folder / split / label
            place.mkdir(parents=True)
            for number, (left, top) in enumerate(spread[:count]):
                patch = photo.crop((left, top, left + PATCH_PX, top + PATCH_PX))
                patch.save(place / f"{number:03}.jpg", quality=95)
            del spread[:count]


if __name__ == "__main__":
    main()
