"""`calibrate`: the temperature of a checkpoint."""
# ruff: noqa: PLC0415 - torch takes seconds to import, and --help shall not

from pathlib import Path
from typing import Annotated

import typer

from training.commands.common import one_line_errors

EXAMPLE = "python -m training calibrate runs/lenet-digits-1/checkpoints/best.ckpt"


def calibrate(checkpoint: Annotated[Path, typer.Argument(help="Checkpoint that `fit` wrote.")]) -> None:
    """Fit the softmax's temperature on the validation split and write it into the checkpoint, for its exports."""
    from training.calibrate import calibrate as calibrate_checkpoint

    with one_line_errors():
        found = calibrate_checkpoint(checkpoint)
    why = f" ({found.reason})" if found.reason else ""
    typer.echo(f"temperature {found.temperature:.4f}{why}")
    typer.echo(f"ECE {found.ece_before:.4f} → {found.ece_after:.4f} on {found.images} validation images")
