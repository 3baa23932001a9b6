"""POST /v1/preprocess: the exact pixels that a network would see of an image, as a PNG that loses none of them."""

import asyncio
import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from service import parameters
from service.decoder import Decoder, finished
from service.engine import Engine
from service.http import Request, Response, Route

_PARAMETERS = ("model", "version")


class Preview:
    """The handler. An image takes a place in its model's queue while it is decoded, like one that is classified."""

    def __init__(self, engine: Engine, decoder: Decoder) -> None:
        self._engine = engine
        self._decoder = decoder
        self.routes = (Route("/v1/preprocess", {"POST": self.preprocess}, takes_body=True, role="classify"),)

    async def preprocess(self, request: Request) -> Response:
        """POST /v1/preprocess: decode and fit one image as the model's spec says."""
        values = parameters.parse(request.query, _PARAMETERS)
        model = self._engine.catalog.find(values.get("model"), parameters.version(values))
        model.batcher.reserve(1, request.claim)
        try:
            decoding = self._decoder.begin(request.body, model.spec.geometry, request.claim.deadline)
            if isinstance(decoding, asyncio.Future):
                decoding = await finished(decoding, request.claim.deadline)
            if isinstance(decoding, Exception):
                raise decoding
            return Response(await asyncio.to_thread(_png, decoding), content_type=b"image/png")
        finally:
            model.batcher.release(1, request.claim)


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return pixels (H, W, C) as a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, "PNG")
    return buffer.getvalue()
