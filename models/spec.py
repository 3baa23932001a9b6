"""The spec of a model: everything that is needed to feed it and to read its answers, carried inside the ONNX file.

A model file without a spec is not loaded and there is no default spec. The spec is JSON under `METADATA_KEY` in the
ONNX `metadata_props`; this module only knows the JSON, not the ONNX file around it.
"""

from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.errors import InvalidSpec

METADATA_KEY = "convserve.spec"
NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
IMAGE_SUFFIX = "-image"  # reserved: NAME-image is the face of a model that takes image files
PROFILE_BINS = 10  # equal-width confidence bins over [0, 1]

Share = Annotated[float, Field(ge=0, le=1)]
Precision = Literal["fp32", "fp16", "int8"]
Interpolation = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Geometry(_Frozen):
    """How a decoded image of any size becomes the uint8 array (height, width, channels) that the graph takes.

    `resize` is `stretch` (each side to its target, the aspect ratio is lost) or `shorter_side` (the shorter side
    to `resize_px`, then a centre crop of height × width). Both are one resampling of one source box.
    """

    mode: Literal["L", "RGB"]
    height: Annotated[int, Field(ge=1, le=4096)]
    width: Annotated[int, Field(ge=1, le=4096)]
    resize: Literal["stretch", "shorter_side"] = "stretch"
    resize_px: Annotated[int, Field(ge=1, le=8192)] | None = None
    interpolation: Interpolation = "bilinear"
    jpeg_draft: bool = False  # decode JPEGs at 1/2, 1/4 or 1/8 scale where that still covers the target
    background: tuple[int, int, int] = (255, 255, 255)  # what shows through transparent pixels, RGB

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.resize == "shorter_side") != (self.resize_px is not None):
            raise ValueError("resize_px is for resize=shorter_side, and required there")
        if self.resize_px is not None and self.resize_px < max(self.height, self.width):
            raise ValueError(f"resize_px {self.resize_px} is smaller than the crop {self.height}×{self.width}")
        if not all(0 <= value <= 255 for value in self.background):
            raise ValueError(f"background {self.background} has values outside 0..255")
        return self

    @cached_property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""
        return 1 if self.mode == "L" else 3

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one prepared image, (height, width, channels)."""
        return self.height, self.width, self.channels


class Normalisation(_Frozen):
    """`(pixel · scale − mean) / std` per channel. It is inside the graph; the spec states it for the reader."""

    scale: Annotated[float, Field(gt=0)]
    mean: tuple[float, ...]
    std: tuple[Annotated[float, Field(gt=0)], ...]


class Source(_Frozen):
    """The file of somebody else that a model was imported from."""

    file: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    producer: str | None  # what wrote it, as it says itself


class Provenance(_Frozen):
    """Where the weights come from; None is what nobody knows, as of an imported file."""

    dataset: str | None
    net: str | None
    git_commit: str | None
    seed: int | None
    libraries: dict[str, str]
    source: Source | None = None


class Quality(_Frozen):
    """Measured on the test split, which no decision during training has seen.

    `ece` is the expected calibration error of the probabilities in 15 bins (Guo et al. 2017), `ece_uncalibrated`
    what it would be at a temperature of 1; `dataset` is named where it is not that of the provenance.
    """

    images: Annotated[int, Field(ge=1)]
    top1: Share
    top5: Share
    ece: Share | None = None
    ece_uncalibrated: Share | None = None
    dataset: str | None = None


class Calibration(_Frozen):
    """The temperature inside the graph's softmax, and the expected calibration error that it leaves.

    Fitted and measured on so many images of the validation split; 1, with the reason, where none is better.
    """

    temperature: Annotated[float, Field(gt=0)]
    images: Annotated[int, Field(ge=1)]
    ece_before: Share
    ece_after: Share
    reason: str | None = None


class Profile(_Frozen):
    """What the model's answers on the test split look like: the reference that live traffic is compared with."""

    classes: tuple[Share, ...]  # share of images predicted as each class
    confidence: Annotated[tuple[Share, ...], Field(min_length=PROFILE_BINS, max_length=PROFILE_BINS)]


class ModelSpec(_Frozen):
    """Everything about one model file: what it takes, what it gives, where it comes from and how good it is.

    `quality` and `profile` are None where nobody has measured them, `calibration` where none was tried; `features`
    is the length of the file's third output, None where it has none.
    """

    spec_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    version: Annotated[int, Field(ge=1)]
    precision: Precision = "fp32"
    labels: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=2)]
    geometry: Geometry
    normalisation: Normalisation
    provenance: Provenance
    quality: Quality | None
    profile: Profile | None
    calibration: Calibration | None = None
    features: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.name.endswith(IMAGE_SUFFIX):
            raise ValueError(f"names that end in {IMAGE_SUFFIX!r} are reserved")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels are not unique")
        for field in ("mean", "std"):
            count = len(getattr(self.normalisation, field))
            if count != self.geometry.channels:
                raise ValueError(f"{field} has {count} values for {self.geometry.channels} channels")
        if self.profile is not None and len(self.profile.classes) != len(self.labels):
            raise ValueError(f"profile has {len(self.profile.classes)} classes for {len(self.labels)} labels")
        return self

    @classmethod
    def from_json(cls, text: str, source: str) -> Self:
        """Parse and validate; raises `InvalidSpec` with one line that names *source* and the first fault."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise InvalidSpec(f"{source}: invalid spec: {first_fault(error)}") from error


def first_fault(error: ValidationError) -> str:
    """Return the first fault of a pydantic error as `field.path: message`."""
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in fault["loc"])
    return f"{where}: {fault['msg']}" if where else fault["msg"]
