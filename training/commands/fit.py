"""`fit`: train, export, measure, put."""
# ruff: noqa: PLC0415 - torch takes seconds to import, and --help shall not

import time
from pathlib import Path
from typing import Annotated

import typer

from models.store import ModelStore
from training.commands.common import DEFAULT_STORE, Name, Store, one_line_errors, report_export
from training.config import FitConfig

EXAMPLE = "python -m training fit --net lenet --dataset digits --seed 1"
DEFAULTS = FitConfig()


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
    store: Store = DEFAULT_STORE,
    name: Name = None,
) -> None:
    """Train a network, export the best checkpoint, measure it on the test split, put it into the model store."""
    started = time.perf_counter()
    from training.export import export
    from training.fit import fit as fit_net

    config = FitConfig(
        net=net, dataset=dataset, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, seed=seed
    )
    with one_line_errors():
        run = fit_net(config, runs)
        exported = export(run.best, ModelStore(store), name)
    origin = {"checkpoint": str(run.best), "validation top-1": f"{run.validation_top1:.2%}"}
    report_export(exported, origin, time.perf_counter() - started)
