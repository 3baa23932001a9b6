"""Variations of the training images, PIL → PIL, each drawn from a generator that the caller seeds.

Never applied to images that are evaluated, and not known to models/preprocess.py.
"""

import math
import random

from PIL import Image

from models.spec import Geometry


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
