"""`import`: somebody else's ONNX file into the model store."""
# ruff: noqa: PLC0415 - torch takes seconds to import, and --help shall not

import re
import time
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import ValidationError

from models.spec import NAME_PATTERN, Geometry, Interpolation, first_fault
from models.store import ModelStore
from training.commands.common import (
    DEFAULT_STORE,
    Name,
    Precisions,
    Store,
    chosen,
    one_line_errors,
    report_export,
)
from training.errors import InvalidImport

EXAMPLE = "python -m training import resnet50.onnx --labels imagenet.txt --preset imagenet-mean-std --size 224"


def import_(
    *,
    file: Annotated[Path, typer.Argument(help="ONNX file of a classifier, float, NCHW or NHWC, 1 or 3 channels.")],
    labels: Annotated[Path, typer.Option(help="Text file with the label of each class, one a line, in order.")],
    preset: Annotated[
        str,
        typer.Option(help="What pixels were normalised with: imagenet-mean-std, imagenet-mean, zero-one or custom."),
    ],
    mean: Annotated[str, typer.Option(help="For --preset custom: of values in 0..1, e.g. 0.5,0.5,0.5.")] = "",
    std: Annotated[str, typer.Option(help="For --preset custom: e.g. 0.5,0.5,0.5.")] = "",
    bgr: Annotated[bool, typer.Option("--bgr", help="The network wants blue first, as Caffe's do.")] = False,
    size: Annotated[
        str | None, typer.Option(help="Side of the images, or HEIGHTxWIDTH, where the file leaves it open.")
    ] = None,
    resize: Annotated[
        int | None,
        typer.Option(min=1, help="Resize the shorter side to this and crop the centre; without it, stretch."),
    ] = None,
    interpolation: Annotated[Interpolation, typer.Option(help="Resampling filter of Pillow.")] = "bilinear",
    layout: Annotated[
        Literal["nchw", "nhwc"] | None, typer.Option(help="nchw or nhwc, where the shape does not tell.")
    ] = None,
    output: Annotated[str | None, typer.Option(help="Output with the classes, where there are several.")] = None,
    gives: Annotated[
        Literal["auto", "logits", "probabilities"],
        typer.Option(help="What the output is; auto: seen from its answers."),
    ] = "auto",
    samples: Annotated[
        Path | None, typer.Option(help="Folder of images to compare on; by default some that are bundled.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Labelled images, e.g. folder:PATH, to measure quality and precisions on.")
    ] = None,
    store: Store = DEFAULT_STORE,
    name: Name = None,
    precision: Precisions = None,
    features: Annotated[bool, typer.Option("--features", help="Give what the classifier sees as well.")] = False,
) -> None:
    """Make a model file of somebody else's ONNX file, if it answers as the original does."""
    started = time.perf_counter()
    from training import data as datasets
    from training.importing import importer, original, presets
    from training.importing import samples as sample_files

    with one_line_errors():
        found = original.read(file, layout, output)
        height, width = _size(size, found.height, found.width)
        geometry = _geometry(found.channels, height, width, resize, interpolation)
        wishes = importer.Wishes(
            name=name or _slug(file.stem),
            labels=_labels(labels),
            geometry=geometry,
            normalisation=presets.normalisation(preset, found.channels, _numbers(mean), _numbers(std)),
            bgr=bgr,
            gives=gives,
            features=features,
            precisions=chosen(precision),
        )
        files = sample_files.bundled(found.channels) if samples is None else sample_files.of_folder(samples, geometry)
        labelled = None if data is None else datasets.load(data)
        exported, notes = importer.import_(found, ModelStore(store), wishes, files, labelled)
    origin = {"original": str(file), "found": "; ".join(notes), "compared on": f"{len(files)} images"}
    report_export(exported, origin, time.perf_counter() - started)


def _labels(path: Path) -> tuple[str, ...]:
    """Read one label a line; blank lines at the end are none."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").rstrip().splitlines()]
    except UnicodeDecodeError as error:
        raise InvalidImport(f"{path}: not a text file in UTF-8") from error
    if len(lines) < 2:
        raise InvalidImport(f"{path}: {len(lines)} labels; at least 2 are needed")
    if "" in lines:
        raise InvalidImport(f"{path}: line {lines.index('') + 1} is empty; every class has a label")
    if len(set(lines)) < len(lines):
        twice = next(line for line in lines if lines.count(line) > 1)
        raise InvalidImport(f"{path}: the label {twice!r} stands there twice")
    return tuple(lines)


def _size(told: str | None, height: int | None, width: int | None) -> tuple[int, int]:
    """Return height and width: what the file says, else what was *told*; they must not contradict each other."""
    asked: tuple[int, int] | None = None
    if told is not None:
        match = re.fullmatch(r"(\d{1,4})(?:x(\d{1,4}))?", told)
        if match is None:
            raise InvalidImport(f"size {told!r} is neither a side, such as 224, nor HEIGHTxWIDTH")
        asked = int(match[1]), int(match[2] or match[1])
    if asked is None:
        if height is None or width is None:
            raise InvalidImport("the file leaves the size of its images open; say it with --size")
        return height, width
    for name, wanted, fixed in (("height", asked[0], height), ("width", asked[1], width)):
        if fixed not in (None, wanted):
            raise InvalidImport(f"--size asks for a {name} of {wanted}, but the file takes {fixed}")
    return asked


def _geometry(channels: int, height: int, width: int, resize: int | None, interpolation: Interpolation) -> Geometry:
    try:
        return Geometry(
            mode="L" if channels == 1 else "RGB",
            height=height,
            width=width,
            resize="stretch" if resize is None else "shorter_side",
            resize_px=resize,
            interpolation=interpolation,
        )
    except ValidationError as error:
        raise InvalidImport(f"geometry: {first_fault(error)}") from error


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError as error:
        raise InvalidImport(f"{text!r} is no list of numbers such as 0.5,0.5,0.5") from error


def _slug(stem: str) -> str:
    """Make a model name of a file's."""
    slug = re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("-._")[:64]
    if not re.fullmatch(NAME_PATTERN, slug):
        raise InvalidImport(f"no model name can be made of {stem!r}; give one with --name")
    return slug
