"""Variations of the training images, PIL → PIL, each drawn from a generator that the caller seeds.

Never applied to images that are evaluated, and not known to models/preprocess.py.
"""

import math
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields

from PIL import Image, ImageEnhance

from models.preprocess import source_box
from models.spec import Geometry
from training.config import FitConfig

MIN_ASPECT, MAX_ASPECT = 3 / 4, 4 / 3  # of a random crop; C. Szegedy et al., CVPR 2015
ENHANCERS: tuple[Callable[[Image.Image], ImageEnhance._Enhance], ...] = (
    ImageEnhance.Brightness,
    ImageEnhance.Contrast,
    ImageEnhance.Color,
)


@dataclass(frozen=True, slots=True)
class Variation:
    """How far a training image may be varied; the defaults leave it as it is."""

    geometry: Geometry  # what it is brought to
    shift: float = 0.0  # of the side, at most, either way
    zoom: float = 0.0  # the same
    rotate_deg: float = 0.0  # at most, either way
    flip: bool = False  # left and right, every other image
    crop: float = 1.0  # least share of the area that a random crop keeps
    colour: float = 0.0  # brightness, contrast and saturation, by this share at most, either way

    def __call__(self, image: Image.Image, rng: random.Random) -> Image.Image:
        """Return a variation of an L or RGB image, in the size of the geometry."""
        geometry = self.geometry
        if self.crop < 1:
            image = random_crop(image, rng, geometry=geometry, least=self.crop)
        elif geometry.resize != "stretch" or image.width > geometry.width or image.height > geometry.height:
            image = _resized(image, geometry, source_box(*image.size, geometry))
        if self.shift or self.zoom or self.rotate_deg:
            limits = {"shift": self.shift, "zoom": self.zoom, "rotate_deg": self.rotate_deg}
            image = jitter(image, rng, geometry=geometry, **limits)
        elif image.size != (geometry.width, geometry.height):
            image = _resized(image, geometry, (0, 0, *image.size))
        if self.flip and rng.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return colour_jitter(image, rng, self.colour) if self.colour else image


def chosen(config: FitConfig, geometry: Geometry) -> Variation:
    """Return the variation that a run's config asks for."""
    limits = asdict(config)
    return Variation(geometry, **{field.name: limits[field.name] for field in fields(Variation)[1:]})


def random_crop(image: Image.Image, rng: random.Random, *, geometry: Geometry, least: float) -> Image.Image:
    """Take a box of *least* to all of the area, of about the geometry's shape, from anywhere, and resize it.

    After C. Szegedy et al., "Going deeper with convolutions", CVPR 2015, section 6.
    """
    target = geometry.width / geometry.height
    area = image.width * image.height * rng.uniform(least, 1)
    aspect = target * math.exp(rng.uniform(math.log(MIN_ASPECT), math.log(MAX_ASPECT)))
    width = min(math.sqrt(area * aspect), image.width)
    height = min(math.sqrt(area / aspect), image.height)
    left, top = rng.uniform(0, image.width - width), rng.uniform(0, image.height - height)
    return _resized(image, geometry, (left, top, left + width, top + height))


def colour_jitter(image: Image.Image, rng: random.Random, limit: float) -> Image.Image:
    """Change brightness, contrast and (of an RGB image) saturation, each by a factor of 1 − *limit* to 1 + *limit*."""
    for enhancer in ENHANCERS:
        factor = rng.uniform(1 - limit, 1 + limit)
        if image.mode != "L" or enhancer is not ImageEnhance.Color:
            image = enhancer(image).enhance(factor)
    return image


def jitter(
    image: Image.Image, rng: random.Random, *, geometry: Geometry, shift: float, zoom: float, rotate_deg: float
) -> Image.Image:
    """Shift, zoom and rotate an L or RGB image a little and resize it to *geometry*, all in one resampling.

    *shift* and *zoom* are shares of the side, at most, either way; what comes into view is background. For images
    that are no larger than the geometry: a larger one would be sampled without smoothing.
    """
    angle = math.radians(rng.uniform(-rotate_deg, rotate_deg))
    scale = 1 + rng.uniform(-zoom, zoom)
    centre_x = image.width * (0.5 + rng.uniform(-shift, shift))
    centre_y = image.height * (0.5 + rng.uniform(-shift, shift))
    step_x, step_y = scale * image.width / geometry.width, scale * image.height / geometry.height  # source pixels
    # The target's (x, y) comes from the source's (a·x + b·y + c, d·x + e·y + f), its centre from the shifted centre.
    a, b = math.cos(angle) * step_x, math.sin(angle) * step_y
    d, e = -math.sin(angle) * step_x, math.cos(angle) * step_y
    c = centre_x - a * geometry.width / 2 - b * geometry.height / 2
    f = centre_y - d * geometry.width / 2 - e * geometry.height / 2
    return image.transform(
        (geometry.width, geometry.height),
        Image.Transform.AFFINE,
        (a, b, c, d, e, f),
        Image.Resampling.BICUBIC,
        fillcolor=Image.new("RGB", (1, 1), geometry.background).convert(image.mode).getpixel((0, 0)),
    )


def _resized(image: Image.Image, geometry: Geometry, box: tuple[float, float, float, float]) -> Image.Image:
    resample = Image.Resampling[geometry.interpolation.upper()]
    return image.resize((geometry.width, geometry.height), resample, box=box)
