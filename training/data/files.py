"""Image files that are read, or made, when they are used: a data set need not fit into memory."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
from PIL import Image

from training.data.dataset import Pixels


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
