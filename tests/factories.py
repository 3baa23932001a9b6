"""Values for tests: a spec, image files, a model file, each with overrides by keyword."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from models.spec import Geometry, ModelSpec
from models.store import ModelStore

REPOSITORY = Path(__file__).resolve().parent.parent / "models" / "repository"


def make_geometry(**changes: Any) -> Geometry:
    """A grey 28×28 geometry."""
    return Geometry(**{"mode": "L", "height": 28, "width": 28, "background": (0, 0, 0), **changes})


def make_spec(**changes: Any) -> ModelSpec:
    """The spec of a ten-class model."""
    quality = {"images": 360, "top1": 0.98, "top5": 1.0}
    fields: dict[str, Any] = {
        "name": "lenet",
        "version": 1,
        "labels": tuple("0123456789"),
        "geometry": make_geometry().model_dump(),
        "normalisation": {"scale": 1 / 255, "mean": (0.2,), "std": (0.3,)},
        "provenance": {"dataset": "digits", "net": "lenet", "git_commit": None, "seed": 0, "libraries": {}},
        "quality": quality,
        "profile": {"classes": (0.1,) * 10, "confidence": (0.1,) * 10},
    }
    return ModelSpec.model_validate({**fields, **changes})


def make_image(width: int = 28, height: int = 28, mode: str = "L", seed: int = 0) -> Image.Image:
    """A smooth random picture, so that lossy formats and resampling keep it recognisable."""
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def encode(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    """The bytes of *image* as a file."""
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def shipped_digit(index: int = 0) -> tuple[bytes, int]:
    """A real digit as an image file, and the class that the shipped model gives it: one of its golden images."""
    golden = ModelStore(REPOSITORY).read("lenet", 1).golden
    return golden.files[index], int(golden.class_ids[index])
