"""The image files of a request, whichever way they came: as the raw body, as files of a form, or as base64 in JSON."""

import binascii
import json
from typing import Any

from service import multipart
from service.errors import BadJson, BadParameter, TooManyImages, UnsupportedMediaType, quoted
from service.http import Request

# what clients declare for a raw body; the bytes decide what it is. The form type is curl's for --data-binary.
_RAW_TYPES = frozenset(
    {b"", b"application/octet-stream", b"application/x-www-form-urlencoded", b"image/png", b"image/jpeg", b"image/webp"}
)
_SPARE_COMMAS = 16  # with few too many, two in a data URL say, the parser tells what is wrong


def read(request: Request, max_images: int) -> list[bytes]:
    """Return the files in order, one at least.

    Raises `UnsupportedMediaType`, `BadMultipart`, `BadJson`, `BadParameter` or `TooManyImages`.
    """
    content_type = request.headers.get(b"content-type", b"")
    if content_type in _RAW_TYPES:
        return [request.body]
    media_type = content_type.partition(b";")[0].strip().lower()
    if media_type == b"multipart/form-data":
        return multipart.parse(content_type, request.body, max_images)
    if media_type == b"application/json":
        return _from_json(request.body, max_images)
    if media_type in _RAW_TYPES or media_type.startswith(b"image/"):
        return [request.body]
    raise UnsupportedMediaType(
        "this content type is not accepted; send image/*, application/octet-stream, multipart/form-data or "
        "application/json"
    )


def _from_json(body: bytes, max_images: int) -> list[bytes]:
    """Return the files of `{"images": ["<base64>", …]}`."""
    if body.count(b",") > 2 * max_images + _SPARE_COMMAS:  # base64 has none; parsing millions of `{}` takes a second
        raise TooManyImages(f"more than {max_images} images in one request")
    try:
        content = json.loads(body, object_pairs_hook=_object, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:  # what it says may hold anything that was sent
        raise BadJson("the body is no JSON") from error
    if not isinstance(content, dict) or content.keys() != {"images"}:
        raise BadParameter('the body must be {"images": [base64, …]} and nothing else')
    images = content["images"]
    if not isinstance(images, list) or not images:
        raise BadParameter("images: must be a list of one base64 text or more")
    if len(images) > max_images:
        raise TooManyImages(f"more than {max_images} images in one request")
    return [_decoded(index, text) for index, text in enumerate(images)]


def _decoded(index: int, text: Any) -> bytes:
    try:
        if isinstance(text, str):
            return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        pass
    shown = quoted(text) if isinstance(text, str) else type(text).__name__
    raise BadParameter(f"images[{index}]: must be base64 without line breaks (RFC 4648), not {shown}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key is given twice")
    return content


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
