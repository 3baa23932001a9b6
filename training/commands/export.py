"""`export`: a checkpoint into the model store."""
# ruff: noqa: PLC0415 - torch takes seconds to import, and --help shall not

import time
from pathlib import Path
from typing import Annotated

import typer

from models.store import ModelStore
from training.commands.common import DEFAULT_STORE, Name, Precisions, Store, chosen, one_line_errors, report_export

EXAMPLE = "python -m training export runs/lenet-digits-1/checkpoints/best.ckpt"


def export(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint that `fit` wrote.")],
    *,
    store: Store = DEFAULT_STORE,
    name: Name = None,
    precision: Precisions = None,
    features: Annotated[
        bool, typer.Option("--features", help="Give what the classifier sees as a third output.")
    ] = False,
) -> None:
    """Export a checkpoint and put it into the model store, if ONNX Runtime answers as PyTorch does.

    fp16 and int8 go along where their measured accuracy on the test split is that of fp32.
    """
    started = time.perf_counter()
    from training.export import export as export_checkpoint

    with one_line_errors():
        exported = export_checkpoint(
            checkpoint, ModelStore(store), name, precisions=chosen(precision), features=features
        )
    report_export(exported, {"checkpoint": str(checkpoint)}, time.perf_counter() - started)
