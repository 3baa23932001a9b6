"""A folder of photographs with two classes, cut from the two that come with scikit-learn."""

from pathlib import Path

from PIL import Image
from sklearn.datasets import load_sample_image

CLASSES = ("china", "flower")  # a temple under the sky of Beijing; a dahlia


def make_photo_folder(folder: Path, side_px: int = 48, *, count: int | None = None) -> Path:
    """Write `<folder>/<class>/<row>-<column>.jpg`: patches that do not overlap, *count* of each class at most."""
    for label in CLASSES:
        photo = Image.fromarray(load_sample_image(f"{label}.jpg"))  # 640×427
        place = folder / label
        place.mkdir(parents=True)
        corners = [(row, column) for row in range(photo.height // side_px) for column in range(photo.width // side_px)]
        for row, column in corners[:count]:
            left, top = column * side_px, row * side_px
            patch = photo.crop((left, top, left + side_px, top + side_px))
            patch.save(place / f"{row:02}-{column:02}.jpg", quality=95)
    return folder
