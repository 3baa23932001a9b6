"""Options of `fit` that choose the net, the data set and how its images are varied; None is what suits them.

Each has the name of its field in `FitConfig`.
"""

from typing import Annotated

import typer

from training.options import Activation, Initialisation, Mode, Resize

NET, DATA, AUGMENT = "The net", "The data", "Augmentation, of training images only"
SOURCE_HELP = "digits, or the folder of its files: mnist:PATH, fashion-mnist:PATH, cifar10:PATH, folder:PATH."

Width = Annotated[
    float | None,
    typer.Option(min=0.01, max=4, help="Multiplies what is hidden; 1 is the published width.", rich_help_panel=NET),
]
ActivationOption = Annotated[
    Activation | None, typer.Option("--activation", help="Where a net has a choice.", rich_help_panel=NET)
]
Init = Annotated[Initialisation | None, typer.Option("--init", help="Initial weights.", rich_help_panel=NET)]
BatchNorm = Annotated[
    bool | None, typer.Option("--batch-norm/--no-batch-norm", help="Where a net has a choice.", rich_help_panel=NET)
]
Size = Annotated[
    int | None,
    typer.Option(
        min=1, max=4096, help="Side of the images in pixels; by default what data and net need.", rich_help_panel=DATA
    ),
]
ModeOption = Annotated[Mode | None, typer.Option("--mode", help="Grey or colour.", rich_help_panel=DATA)]
ResizeOption = Annotated[
    Resize | None,
    typer.Option(
        "--resize",
        help="stretch: each side to its target; shorter_side: keep the shape, crop the centre.",
        rich_help_panel=DATA,
    ),
]
JpegDraft = Annotated[
    bool | None,
    typer.Option(
        "--jpeg-draft/--no-jpeg-draft",
        help="Decode large JPEGs at reduced scale, here and in the service.",
        rich_help_panel=DATA,
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at an image that cannot be read.", rich_help_panel=DATA)]
Shift = Annotated[
    float | None, typer.Option(min=0, max=1, help="Share of the side, at most, either way.", rich_help_panel=AUGMENT)
]
Zoom = Annotated[
    float | None, typer.Option(min=0, max=0.9, help="Share of the size, at most, either way.", rich_help_panel=AUGMENT)
]
RotateDeg = Annotated[
    float | None, typer.Option(min=0, max=180, help="Degrees, at most, either way.", rich_help_panel=AUGMENT)
]
Flip = Annotated[
    bool | None,
    typer.Option("--flip/--no-flip", help="Mirror every other image, left and right.", rich_help_panel=AUGMENT),
]
Crop = Annotated[
    float | None,
    typer.Option(min=0.01, max=1, help="Least share of the area that a random crop keeps.", rich_help_panel=AUGMENT),
]
Colour = Annotated[
    float | None,
    typer.Option(
        min=0, max=1, help="Brightness, contrast, saturation: by this share at most.", rich_help_panel=AUGMENT
    ),
]
