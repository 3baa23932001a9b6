"""Image files that are found in folders, and read, or made, when they are used: a data set need not fit into memory."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
from PIL import Image

from models.header import sniff
from training.data.dataset import Pixels

SUFFIXES = frozenset(  # of files that are meant to be images, whatever is in them
    {".jpg", ".jpeg", ".jpe", ".jif", ".jfif", ".pjp", ".pjpeg", ".png", ".apng", ".webp", ".bmp", ".dib", ".gif"}
    | {".tif", ".tiff"}
)
SNIFFED_BYTES = 16


def is_image_file(path: Path) -> bool:
    """Return whether a file is meant to be an image, by its suffix, or begins as one, whatever it is called."""
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return sniff(file.read(SNIFFED_BYTES)) is not None
    except OSError:
        return True  # for whoever reads it to say why not


class StoredFiles(Sequence[bytes]):
    """The contents of files, read anew each time."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | Sequence[bytes]:
        if isinstance(index, slice):
            return StoredFiles(self.paths[index])
        return self.paths[index].read_bytes()


class EncodedPixels(Sequence[bytes]):
    """The images of an array, uint8 (N, H, W) or (N, H, W, 3), as PNG files: no value is lost."""

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | Sequence[bytes]:
        if isinstance(index, slice):
            return EncodedPixels(self.pixels[index])
        return png(self.pixels[index])


def png(pixels: Pixels) -> bytes:
    """Encode one image, uint8 (H, W) or (H, W, 3)."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
