"""Decodes image files, few at a time: the number of threads, the pixels of one image and the bytes of a pixel bound the
memory that hostile or merely large images can take (docs/operations.md has the sum).

A tiny image is decoded where it stands, which takes less time than handing it to a thread.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import numpy as np
import numpy.typing as npt

from models import png
from models.errors import ImageTooLarge, ModelError
from models.preprocess import DecodeLimits, decode, examine, open_image, preprocess, preprocess_tiny, ten_crop
from models.spec import Geometry
from service.errors import DeadlinePassed, Overloaded, RequestError, as_value

Pixels = npt.NDArray[np.uint8]
Decoded = Pixels | ModelError | RequestError


class Decoder:
    """The threads that decode; *max_request_pixels* is for all images of a request together; *seen* hears each size."""

    def __init__(
        self,
        limits: DecodeLimits,
        threads: int,
        max_request_pixels: int,
        seen: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._seen = seen
        self._limits = limits
        self._max_request_pixels = max_request_pixels
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")

    def stop(self) -> None:
        """Begin nothing any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def check(self, files: Sequence[bytes], geometry: Geometry) -> None:
        """Raise `ImageTooLarge` when the images of a request have too many pixels together, as their headers say."""
        if len(files) < 2:
            return
        pixels = 0
        for data in files:
            try:
                pixels += examine(data, geometry, self._limits)
            except ModelError:
                continue  # will not be decoded
        if pixels > self._max_request_pixels:
            raise ImageTooLarge(
                f"images of {pixels:,} pixels together exceed the limit of {self._max_request_pixels:,} per request"
            )

    def begin(
        self, data: bytes, geometry: Geometry, deadline: float, crops: int = 1
    ) -> Decoded | asyncio.Future[Decoded]:
        """Decode an image file to (H, W, C): a tiny one here and now, another as soon as a thread is free.

        With ten *crops*, always in a thread, to (10, H, W, C).
        """
        try:
            if crops != 1:
                examine(data, geometry, self._limits)
                return self._later(data, geometry, deadline, crops)
            tiny = preprocess_tiny(data, geometry, self._limits)
            if tiny is not None:
                self._seen(tiny[1])
                return tiny[0]
            pixels = examine(data, geometry, self._limits)
            self._seen(pixels)
            if pixels <= png.MAX_PIXELS and len(data) <= png.MAX_BYTES:
                return preprocess(data, geometry, self._limits)
        except ModelError as error:
            return as_value(error)
        return self._later(data, geometry, deadline, crops)

    def _later(self, data: bytes, geometry: Geometry, deadline: float, crops: int) -> asyncio.Future[Decoded]:
        return asyncio.get_running_loop().run_in_executor(self._pool, self._decode, data, geometry, deadline, crops)

    def _decode(self, data: bytes, geometry: Geometry, deadline: float, crops: int) -> Decoded:
        if perf_counter() > deadline:
            return DeadlinePassed("the request's time was over before its image could be decoded")
        try:
            if crops == 1:
                return preprocess(data, geometry, self._limits)
            return ten_crop(decode(open_image(data, geometry, self._limits), geometry), geometry)
        except ModelError as error:
            return as_value(error)
        except MemoryError:
            return Overloaded("not enough memory for this image now", retry_after_s=1)


async def finished(decoding: asyncio.Future[Decoded], deadline: float) -> Decoded:
    """Return what an image was decoded to, or `DeadlinePassed` when it takes too long; it is not begun then."""
    try:
        async with asyncio.timeout(deadline - perf_counter()):
            return await decoding
    except TimeoutError:
        return DeadlinePassed("the request's time was over while its image was decoded")
