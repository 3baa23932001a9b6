"""Real images that an imported model is compared with its original on, where nobody gave any labelled ones.

Noise would not do: a network that reads channels in the wrong order answers noise much the same.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

from models.errors import ModelError
from models.preprocess import preprocess
from models.spec import Geometry
from training import data
from training.data.files import is_image_file
from training.errors import InvalidImport

MAX_SAMPLES = 64
CROP_PX = 213  # half the height of scikit-learn's photographs


def bundled(channels: int) -> list[bytes]:
    """Return image files that come with scikit-learn: digits for 1 channel, 16 parts of two photographs for 3."""
    if channels == 1:
        return list(data.load("digits").test.files[:16])
    return [
        _jpeg(photograph[top : top + CROP_PX, left : left + CROP_PX])
        for photograph in load_sample_images().images  # (427, 640, 3)
        for top in (0, 427 - CROP_PX)
        for left in np.linspace(0, 640 - CROP_PX, 4).astype(int)
    ]


def of_folder(folder: Path, geometry: Geometry) -> list[bytes]:
    """Return the first image files of a folder, by name; raises `InvalidImport` for none, or one that is unreadable."""
    if not folder.is_dir():
        raise InvalidImport(f"{folder}: no such folder")
    paths = sorted(path for path in folder.iterdir() if path.is_file() and is_image_file(path))[:MAX_SAMPLES]
    if len(paths) < 2:
        raise InvalidImport(f"{folder}: {len(paths)} images; at least 2 samples are needed")
    files = [path.read_bytes() for path in paths]
    for path, file in zip(paths, files, strict=True):
        try:
            preprocess(file, geometry, data.LIMITS)
        except ModelError as error:
            raise InvalidImport(f"{path}: {error}") from error
    return files


def _jpeg(pixels: data.Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
