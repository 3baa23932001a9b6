"""The command line of training: `python -m training {fit,export}`.

It reads options, calls, and prints; faults of the user become one line and exit code 2. torch and Lightning are
imported inside the commands: they take seconds, and `--help` shall not.
"""
# ruff: noqa: PLC0415 - see above

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from models.errors import ModelError
from models.spec import IMAGE_SUFFIX, NAME_PATTERN
from models.store import ModelStore
from training.config import FitConfig
from training.errors import ExportRefused, TrainingError

if TYPE_CHECKING:
    from training.export import Exported

DEFAULTS = FitConfig()

app = typer.Typer(
    name="python -m training",
    help="Train networks and turn them into model files.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _model_name(name: str | None) -> str | None:
    """Refuse a bad name now, not after minutes of training."""
    if name is not None and (not re.fullmatch(NAME_PATTERN, name) or name.endswith(IMAGE_SUFFIX)):
        raise typer.BadParameter(f"{name!r} does not match {NAME_PATTERN} or ends in {IMAGE_SUFFIX}")
    return name


Store = Annotated[Path, typer.Option(help="Model store that the new version is put into.")]
Name = Annotated[
    str | None, typer.Option(help="Name of the model in the store; by default that of its net.", callback=_model_name)
]


@app.command(epilog="Example: python -m training fit --net lenet --dataset digits --seed 1")
def fit(
    *,
    net: Annotated[str, typer.Option(help="Network to train.")] = DEFAULTS.net,
    dataset: Annotated[str, typer.Option(help="Data set to train on.")] = DEFAULTS.dataset,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training split.")] = DEFAULTS.epochs,
    batch_size: Annotated[int, typer.Option(min=1, help="Images in a training step.")] = DEFAULTS.batch_size,
    learning_rate: Annotated[
        float, typer.Option(min=1e-9, help="Peak of the one-cycle schedule.")
    ] = DEFAULTS.learning_rate,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights, order and augmentation.")] = DEFAULTS.seed,
    runs: Annotated[Path, typer.Option(help="Folder that the run's own folder is made in.")] = Path("runs"),
    store: Store = Path("models/repository"),
    name: Name = None,
) -> None:
    """Train a network, export the best checkpoint, measure it on the test split, put it into the model store."""
    started = time.perf_counter()
    from training.export import export
    from training.fit import fit as fit_net

    config = FitConfig(
        net=net, dataset=dataset, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, seed=seed
    )
    with _one_line_errors():
        run = fit_net(config, runs)
        exported = export(run.best, ModelStore(store), name)
    origin = {"checkpoint": str(run.best), "validation top-1": f"{run.validation_top1:.2%}"}
    _report(exported, origin, time.perf_counter() - started)


@app.command("export", epilog="Example: python -m training export runs/lenet-digits-1/checkpoints/best.ckpt")
def export_checkpoint(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint that `fit` wrote.")],
    store: Store = Path("models/repository"),
    name: Name = None,
) -> None:
    """Export a checkpoint and put it into the model store, if ONNX Runtime answers as PyTorch does."""
    started = time.perf_counter()
    from training.export import export

    with _one_line_errors():
        exported = export(checkpoint, ModelStore(store), name)
    _report(exported, {"checkpoint": str(checkpoint)}, time.perf_counter() - started)


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Turn what can go wrong into one line: exit code 2 for the user's faults, 1 for an export that is refused."""
    try:
        yield
    except (TrainingError, ModelError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1 if isinstance(error, ExportRefused) else 2) from error


def _report(exported: "Exported", origin: dict[str, str], seconds: float) -> None:
    table = Table(title=f"{exported.name} version {exported.version}", show_header=False, title_justify="left")
    rows = origin | {
        "test top-1": f"{exported.quality.top1:.2%} of {exported.quality.images} images",
        "test top-5": f"{exported.quality.top5:.2%}",
        "model file": str(exported.path),
        "size": f"{exported.size_bytes / 1000:.1f} kB",
        "time": f"{seconds:.1f} s",
    }
    for key, value in rows.items():
        table.add_row(key, value)
    Console().print(table)


if __name__ == "__main__":
    app()
