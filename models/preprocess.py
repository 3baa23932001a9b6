"""How the bytes of an image file become the uint8 array that a model takes. The one definition, for training's
evaluation and for the service alike; it must not know which of the two is asking.

Three steps, so that a caller can refuse early and decode elsewhere: `open_image` reads the header and applies the
limits, `decode` reads the pixels, `fit` crops and resizes. `preprocess` is all three.
"""

import io
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin, _imaging

from models import exif, header, png
from models.errors import ImageFormatNotAllowed, ImageTooLarge, InvalidImage, TruncatedImage
from models.spec import Geometry

DEFAULT_FORMATS = frozenset({"JPEG", "PNG", "WEBP"})
OPTIONAL_FORMATS = frozenset({"BMP", "GIF"})  # of a GIF, the first frame

_UPRIGHT = {  # orientation → what undoes it (EXIF 2.32, section 4.6.4)
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
STRETCHED_CROP = 7 / 8  # side of a crop of an image that is stretched
_DRAFT_SCALES = (8, 4, 2, 1)  # the reduced scales that libjpeg decodes at

Box = tuple[float, float, float, float]  # left, top, right, bottom

# Our own limits are checked on the header before a pixel is decoded; Pillow's second opinion would be a warning.
Image.MAX_IMAGE_PIXELS = None
PngImagePlugin.MAX_TEXT_MEMORY = 4 * 2**20  # bytes of text in a PNG, unpacked; none of it is used
# Pillow warns of every oddity of a file, and Python remembers each warning for ever
warnings.filterwarnings("ignore", module=r"PIL\.")


_RESAMPLING = {kind.name.lower(): kind for kind in Image.Resampling}


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What may be decoded at all. Pixel limits hold for what is decoded in memory, width × height."""

    formats: frozenset[str] = DEFAULT_FORMATS
    max_pixels: int = 16_000_000
    max_draft_pixels: int = 50_000_000  # of a JPEG in one scan whose reduced-scale decode stays under max_pixels
    max_side_px: int = 32_768  # a strip of one pixel's width is no photograph either


def examine(data: bytes, geometry: Geometry, limits: DecodeLimits) -> int:
    """Return how many pixels an image file will be decoded to, as its header has it, and refuse what must not be.

    Raises `InvalidImage`, `ImageFormatNotAllowed` or `ImageTooLarge`.
    """
    return _examine(data, geometry, limits)[1]


def open_image(data: bytes, geometry: Geometry, limits: DecodeLimits) -> Image.Image:
    """Refuse what must not be decoded and open the rest; no pixel is decoded, but of the tiniest PNGs.

    Raises `InvalidImage`, `ImageFormatNotAllowed` or `ImageTooLarge`.
    """
    tiny = open_tiny(data, limits)
    if tiny is not None:
        return tiny
    head, _ = _examine(data, geometry, limits)
    try:
        image = Image.open(io.BytesIO(data), formats=(head.format,))
    except MemoryError:  # which says nothing of the image
        raise
    except Exception as error:  # hostile bytes make Pillow's parsers raise almost anything
        raise TruncatedImage(f"{head.format} image is truncated or damaged") from error
    if image.size != (head.width, head.height):  # a frame that is larger than a GIF's screen
        _decoded_pixels(header.Header(head.format, *image.size), geometry, limits)
    return image


def open_tiny(data: bytes, limits: DecodeLimits) -> Image.Image | None:
    """Return the decoded image of a tiny plain PNG, None if it is anything else."""
    image = png.read(data)
    if image is not None:
        _check_size(*image.size, limits.max_pixels, limits)
    return image


def decode(image: Image.Image, geometry: Geometry) -> Image.Image:
    """Decode the pixels of an opened image, upright, as mode L or RGB, alpha composed on the spec's background.

    Raises `TruncatedImage` when the pixel data is damaged or incomplete.
    """
    try:
        if geometry.jpeg_draft and image.format in ("JPEG", "MPO"):  # what phones write is one with more behind it
            scale = draft_scale(*image.size, geometry)
            image.draft(None, (image.width // scale, image.height // scale))
        image.load()
    except MemoryError:
        raise
    except Exception as error:  # as above
        raise TruncatedImage(f"{image.format} image is truncated or damaged") from error
    if image.mode in ("P", "PA") and image.palette is None:  # which Pillow takes for a fault of its own
        raise TruncatedImage(f"{image.format} image has no palette")
    flat = _flatten(image, geometry.background)
    turn = _UPRIGHT.get(exif.orientation(image.info.get("exif", b"")))
    return flat if turn is None else flat.transpose(turn)


def fit(image: Image.Image, geometry: Geometry) -> npt.NDArray[np.uint8]:
    """Crop and resize an L or RGB image of any size in one resampling; return uint8 (height, width, channels)."""
    if image.size == (geometry.width, geometry.height) and geometry.resize == "stretch":
        return _pixels(image, geometry)
    return _resample(image, geometry, source_box(*image.size, geometry))


def ten_crop(image: Image.Image, geometry: Geometry) -> npt.NDArray[np.uint8]:
    """Return uint8 (10, height, width, channels): four corners and the centre of the resized image, then their mirrors.

    The corners are top left, top right, bottom left and bottom right; the mean of the ten answers is the image's
    (A. Krizhevsky et al., NIPS 2012, section 4.1). Under `shorter_side` the centre is what `fit` returns. Under
    `stretch` nothing is larger than the target: each crop is 7/8 of the source's sides, as 224 is of 256.
    """
    boxes = _ten_crop_boxes(*image.size, geometry)
    crops = np.stack([_resample(image, geometry, box) for box in boxes])
    return np.concatenate([crops, crops[:, :, ::-1]])


def preprocess(data: bytes, geometry: Geometry, limits: DecodeLimits) -> npt.NDArray[np.uint8]:
    """Turn the bytes of an image file into the uint8 (height, width, channels) array of *geometry*.

    Raises `InvalidImage`, `TruncatedImage`, `ImageFormatNotAllowed` or `ImageTooLarge`.
    """
    tiny = preprocess_tiny(data, geometry, limits)
    return fit(decode(open_image(data, geometry, limits), geometry), geometry) if tiny is None else tiny[0]


def preprocess_tiny(data: bytes, geometry: Geometry, limits: DecodeLimits) -> tuple[npt.NDArray[np.uint8], int] | None:
    """Return what `preprocess` does and the source's pixels, for a tiny plain PNG of the geometry's mode, else None.

    Without Pillow's wrappers around what is done, which take longer than it. Raises `ImageTooLarge`.
    """
    core = png.read_core(data, geometry.mode) if "PNG" in limits.formats else None
    if core is None:
        return None
    width, height = core.size
    _check_size(width, height, limits.max_pixels, limits)
    size = (geometry.width, geometry.height)
    if (width, height) != size or geometry.resize != "stretch":
        core = core.resize(size, _RESAMPLING[geometry.interpolation], source_box(width, height, geometry))
    return _array(core, geometry), width * height


def draft_scale(width: int, height: int, geometry: Geometry) -> int:
    """Return the largest of 1, 2, 4, 8 by which a JPEG can be decoded smaller and still cover what `fit` samples.

    Orientation is not looked at: the condition is put to the shorter side, which is the same either way.
    """
    needed = geometry.resize_px or max(geometry.width, geometry.height)
    shorter = min(width, height)
    return next(scale for scale in _DRAFT_SCALES if scale == 1 or shorter // scale >= needed)


def source_box(width: int, height: int, geometry: Geometry) -> Box:
    """Return the box of the source, (left, top, right, bottom) in source pixels, that becomes the whole target."""
    if geometry.resize_px is None:
        return 0, 0, width, height
    scale = min(width, height) / geometry.resize_px  # source pixels per pixel of the resized image
    box_width, box_height = geometry.width * scale, geometry.height * scale
    left, top = (width - box_width) / 2, (height - box_height) / 2
    return left, top, left + box_width, top + box_height


def _ten_crop_boxes(width: int, height: int, geometry: Geometry) -> list[Box]:
    """Return the five boxes of the source, in source pixels, that become crops."""
    if geometry.resize_px is None:
        box_width, box_height = width * STRETCHED_CROP, height * STRETCHED_CROP
    else:
        left, top, right, bottom = source_box(width, height, geometry)
        box_width, box_height = right - left, bottom - top
    right, bottom = width - box_width, height - box_height
    corners = [(0.0, 0.0), (right, 0.0), (0.0, bottom), (right, bottom), (right / 2, bottom / 2)]
    return [(left, top, min(left + box_width, width), min(top + box_height, height)) for left, top in corners]


def _resample(image: Image.Image, geometry: Geometry, box: Box) -> npt.NDArray[np.uint8]:
    resample = _RESAMPLING[geometry.interpolation]
    size = (geometry.width, geometry.height)
    if image.mode != geometry.mode:
        return _pixels(image.resize(size, resample, box=box), geometry)
    image.load()
    return _array(image.im.resize(size, resample, box), geometry)  # the wrapper around it takes as long again


def _pixels(image: Image.Image, geometry: Geometry) -> npt.NDArray[np.uint8]:
    if image.mode != geometry.mode:
        image = image.convert(geometry.mode)
    image.load()
    return _array(image.im, geometry)


def _array(core: Any, geometry: Geometry) -> npt.NDArray[np.uint8]:
    """Return the pixels of Pillow's inner image, which has the geometry's size and mode.

    `Image.tobytes` does the same, and an import at each call: for a small image that is most of its time.
    """
    encoder = _imaging.raw_encoder(geometry.mode, geometry.mode, 0, 1)
    encoder.setimage(core, (0, 0, geometry.width, geometry.height))
    _, _, data = encoder.encode(geometry.width * geometry.height * geometry.channels)
    return np.frombuffer(data, np.uint8).reshape(geometry.shape)


def _flatten(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """Bring any mode that a decoder yields to L or RGB."""
    if image.mode in ("L", "RGB"):
        return image
    if image.mode.startswith("I"):  # 16 bits a sample: the upper 8
        return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        layer = image if image.mode == "RGBA" else image.convert("RGBA")
        flat = Image.new("RGB", image.size, background)
        flat.paste(layer, mask=layer.getchannel("A"))
        return flat
    return image.convert("L" if image.mode in ("1", "F") else "RGB")


def _examine(data: bytes, geometry: Geometry, limits: DecodeLimits) -> tuple[header.Header, int]:
    name = header.sniff(data)
    if not data:
        raise InvalidImage("not an image: there are no bytes")
    if name is None:
        raise InvalidImage(f"not an image: {len(data)} bytes that start as no known image format")
    if name not in limits.formats:
        raise ImageFormatNotAllowed(f"{name} is not accepted; accepted are {', '.join(sorted(limits.formats))}")
    head = header.read(data, name)
    return head, _decoded_pixels(head, geometry, limits)


def _decoded_pixels(head: header.Header, geometry: Geometry, limits: DecodeLimits) -> int:
    width, height = head.width, head.height
    if geometry.jpeg_draft and head.format == "JPEG" and not head.progressive:
        _check_size(width, height, limits.max_draft_pixels, limits)
        scale = draft_scale(width, height, geometry)
        width, height = -(-width // scale), -(-height // scale)  # libjpeg rounds up
    _check_size(width, height, limits.max_pixels, limits)
    return width * height


def _check_size(width: int, height: int, max_pixels: int, limits: DecodeLimits) -> None:
    if width * height > max_pixels:
        raise ImageTooLarge(f"image of {width}×{height} pixels exceeds the limit of {max_pixels:,} pixels")
    if max(width, height) > limits.max_side_px:
        raise ImageTooLarge(f"image of {width}×{height} pixels exceeds the limit of {limits.max_side_px:,} per side")
