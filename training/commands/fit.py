"""`fit`: train, export, measure, put; or go on with a run that was interrupted."""
# ruff: noqa: PLC0415, ARG001 - torch takes seconds to import, and --help shall not; the options that are fields of a
# config are read from the context, all in one go

import logging
import os
import shlex
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from models.store import ModelStore
from training.commands.common import DEFAULT_STORE, Name, Store, one_line_errors, report_export
from training.commands.fit_options import (
    SOURCE_HELP,
    ActivationOption,
    BatchNorm,
    Colour,
    Crop,
    Flip,
    Init,
    JpegDraft,
    ModeOption,
    ResizeOption,
    RotateDeg,
    Shift,
    Size,
    Strict,
    Width,
    Zoom,
)
from training.config import Accelerator, FitConfig, Hardware, Optimizer, Precision, Schedule, Strategy, configure
from training.errors import Interrupted

EXAMPLE = "python -m training fit --net lenet --dataset digits --seed 1"
DEFAULTS = FitConfig()
COMPUTED_ON = Hardware()
RUN, HARDWARE = "The run", "Hardware"


def fit(
    context: typer.Context,
    *,
    net: Annotated[str, typer.Option(help="Network to train.")] = DEFAULTS.net,
    dataset: Annotated[str, typer.Option(help=SOURCE_HELP)] = DEFAULTS.dataset,
    width: Width = None,
    activation: ActivationOption = None,
    init: Init = None,
    batch_norm: BatchNorm = None,
    size: Size = None,
    mode: ModeOption = None,
    resize: ResizeOption = None,
    jpeg_draft: JpegDraft = None,
    strict: Strict = False,
    shift: Shift = None,
    zoom: Zoom = None,
    rotate_deg: RotateDeg = None,
    flip: Flip = None,
    crop: Crop = None,
    colour: Colour = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the training split.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images in a training step, over all processes.")
    ] = None,
    optimizer: Annotated[
        Optimizer, typer.Option(help="AdamW, or SGD with Nesterov's momentum.", rich_help_panel=RUN)
    ] = DEFAULTS.optimizer,
    schedule: Annotated[
        Schedule, typer.Option(help="What the learning rate does.", rich_help_panel=RUN)
    ] = DEFAULTS.schedule,
    learning_rate: Annotated[
        float | None, typer.Option(min=1e-9, help="Peak of the schedule.", rich_help_panel=RUN)
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option(min=0, help="Decay of the weights.", rich_help_panel=RUN)
    ] = None,
    accumulate: Annotated[
        int, typer.Option(min=1, help="Batches whose gradients make one step.", rich_help_panel=RUN)
    ] = DEFAULTS.accumulate,
    patience: Annotated[
        int,
        typer.Option(
            min=0, help="Stop after so many epochs without a better validation; 0: never.", rich_help_panel=RUN
        ),
    ] = DEFAULTS.patience,
    precision: Annotated[
        Precision, typer.Option(help="Of the arithmetic; auto: mixed on a GPU, fp32 on a CPU.", rich_help_panel=RUN)
    ] = DEFAULTS.precision,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of weights, order and augmentation.", rich_help_panel=RUN)
    ] = DEFAULTS.seed,
    resume: Annotated[
        str | None,
        typer.Option(
            help="Go on with a run: its folder, its last.ckpt, or `auto` for the newest unfinished run like this one.",
            rich_help_panel=RUN,
        ),
    ] = None,
    accelerator: Annotated[
        Accelerator, typer.Option(help="What computes; auto: a GPU if there is one.", rich_help_panel=HARDWARE)
    ] = COMPUTED_ON.accelerator,
    devices: Annotated[
        str, typer.Option(help="GPUs, or processes on a CPU, of this machine; `auto`: all.", rich_help_panel=HARDWARE)
    ] = COMPUTED_ON.devices,
    num_nodes: Annotated[int, typer.Option(min=1, help="Machines.", rich_help_panel=HARDWARE)] = COMPUTED_ON.num_nodes,
    strategy: Annotated[
        Strategy, typer.Option(help="How several processes train one network.", rich_help_panel=HARDWARE)
    ] = COMPUTED_ON.strategy,
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Processes that prepare images; by default some on a GPU.", rich_help_panel=HARDWARE),
    ] = COMPUTED_ON.workers,
    runs: Annotated[Path, typer.Option(help="Folder that the run's own folder is made in.")] = Path("runs"),
    export: Annotated[bool, typer.Option(help="Put the best checkpoint into the model store.")] = True,
    store: Store = DEFAULT_STORE,
    name: Name = None,
) -> None:
    """Train a network, export the best checkpoint, measure it on the test split, put it into the model store.

    What is not chosen here suits the net and the data set; the run's config.json has it all.

    Ctrl-C saves and says how to go on.
    """
    started = time.perf_counter()
    from training.calibrate import calibrate
    from training.export import export as export_checkpoint
    from training.fit import ended
    from training.fit import fit as fit_net
    from training.fitting.folder import to_resume

    if os.environ.get("LOCAL_RANK", "0") != "0":  # set by Lightning for all processes of a machine but the first
        logging.getLogger("training").setLevel(logging.ERROR)  # which says what is to be said of the data
    with one_line_errors(), _says_how_to_go_on(context):
        config = configure(**_given(context, FitConfig))
        chosen = [key for key in _given(context, FitConfig) if _is_chosen(context, key)]
        resumed = to_resume(resume, runs, config, chosen) if resume is not None else None
        run = fit_net(config, runs, Hardware(**_given(context, Hardware)), resumed)
        if not run.first:
            return  # one process of several exports
        if not export:
            typer.echo(f"{run.best}: validation top-1 {run.validation_top1:.2%}")
            return
        try:
            calibrate(run.best, run.dataset)
            exported = export_checkpoint(run.best, ModelStore(store), name, dataset=run.dataset)
        except KeyboardInterrupt as error:
            raise ended(run, signal.SIGINT) from error
    origin = {"checkpoint": str(run.best), "validation top-1": f"{run.validation_top1:.2%}"}
    report_export(exported, origin, time.perf_counter() - started)


@contextmanager
def _says_how_to_go_on(context: typer.Context) -> Iterator[None]:
    """Print the command that goes on with a run that was interrupted; the exit code is 128 and the signal's number.

    Of several processes only the first has something to say; of the others, a code would have it killed by Lightning.
    """
    try:
        yield
    except Interrupted as stopped:
        if not stopped.first:
            raise typer.Exit(0) from stopped
        name = signal.Signals(stopped.signum).name
        if stopped.best is not None:
            words = [f"--{option}={context.params[option]}" for option in ("store", "name") if context.params[option]]
            command = shlex.join(["python", "-m", "training", "export", str(stopped.best), *words])
            typer.echo(
                f"\n{name}: the run is finished and saved, but not exported. Do that with:\n\n  {command}\n", err=True
            )
        elif stopped.saved:
            options = shlex.join([*_chosen_options(context), "--resume", str(stopped.folder)])
            typer.echo(f"\n{name}: saved. Go on with:\n\n  python -m training fit {options}\n", err=True)
        else:
            typer.echo(f"\n{name}: {stopped.folder} ended before there was anything to save", err=True)
        raise typer.Exit(128 + stopped.signum) from stopped


def _chosen_options(context: typer.Context) -> list[str]:
    """Return the command line as it was given, but for what it said about going on."""
    words: list[str] = []
    for option, value in context.params.items():
        if option == "resume" or not _is_chosen(context, option):
            continue
        flag = option.replace("_", "-")
        words += [f"--{flag}" if value else f"--no-{flag}"] if isinstance(value, bool) else [f"--{flag}", str(value)]
    return words


def _given(context: typer.Context, kind: type[FitConfig | Hardware]) -> dict[str, Any]:
    """Return those options that are fields of *kind*."""
    return {field.name: context.params[field.name] for field in fields(kind) if field.name in context.params}


def _is_chosen(context: typer.Context, option: str) -> bool:
    source = context.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"
