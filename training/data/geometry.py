"""The geometry that a data set's images are brought to, unless another was asked for."""

from collections.abc import Mapping

from models.spec import Geometry
from training.options import DataOptions

BLACK, WHITE = (0, 0, 0), (255, 255, 255)
RESIZE_RATIO = 256 / 224  # shorter side to crop: A. Krizhevsky et al., NIPS 2012, and nearly everybody since


def _square(side_px: int, mode: str, **more: object) -> Geometry:
    fields = {"mode": mode, "height": side_px, "width": side_px, "interpolation": "bicubic", "jpeg_draft": True}
    return Geometry.model_validate(fields | more)


GEOMETRIES: Mapping[str, Geometry] = {
    "digits": _square(28, "L", background=BLACK),
    "mnist": _square(28, "L", background=BLACK),
    "fashion-mnist": _square(28, "L", background=BLACK),
    "cifar10": _square(32, "RGB", background=WHITE),
    "folder": _square(64, "RGB", background=WHITE, resize="shorter_side", resize_px=round(64 * RESIZE_RATIO)),
}


def choose(kind: str, options: DataOptions) -> Geometry:
    """Return the geometry of a kind of data set with what *options* ask for in its place."""
    usual = GEOMETRIES[kind]
    side_px = options.size or max(usual.height, options.at_least)
    resize = options.resize or usual.resize
    return Geometry(
        mode=options.mode or usual.mode,
        height=side_px,
        width=side_px,
        resize=resize,
        resize_px=round(side_px * RESIZE_RATIO) if resize == "shorter_side" else None,
        interpolation=usual.interpolation,
        jpeg_draft=usual.jpeg_draft if options.jpeg_draft is None else options.jpeg_draft,
        background=usual.background,
    )
