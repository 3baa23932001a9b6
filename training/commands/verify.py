"""`verify`: checkpoint, model file and service give the same answers."""
# ruff: noqa: PLC0415 - torch takes seconds to import, and --help shall not

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from models.store import ModelStore, Precision
from training.commands.common import DEFAULT_STORE, one_line_errors
from training.commands.evaluate import Key, Source, Url

EXAMPLE = "python -m training verify lenet --url http://127.0.0.1:3000"


def verify(
    name: Annotated[str, typer.Argument(help="Model in the store: NAME, or NAME:VERSION; by default the newest.")],
    *,
    url: Url = None,
    api_key: Key = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="By default the newest in --runs that gives the model's golden answers.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder of runs that the checkpoint is looked for in.")] = Path("runs"),
    store: Annotated[Path, typer.Option(help="Model store.")] = DEFAULT_STORE,
    precision: Annotated[Precision, typer.Option(help="Of the model file; of a service, what it serves.")] = "fp32",
    dataset: Source = None,
) -> None:
    """Have the checkpoint, the model file and, with --url, a running service answer the whole test split.

    Exit code 1 if they do not give the same answers.
    """
    from training import verify as verifying
    from training.measuring import remote, subject

    with one_line_errors(), ExitStack() as connections:
        places, (model, _, version) = ModelStore(store), name.partition(":")
        if version and not version.isdecimal():
            raise typer.BadParameter(f"{name!r}: NAME or NAME:VERSION")
        ways = verifying.verify(
            places,
            model,
            subject.version_of(places, model, version or None),
            precision=precision,
            path=checkpoint,
            runs=runs,
            dataset=dataset,
            service=None if url is None else connections.enter_context(remote.connect(url, model, api_key)),
        )
    table = Table("answers of", "test top-1", "agree", "|Δlogit|", "|Δprob.|")
    table.columns[0].overflow = "fold"  # a path that is cut names nothing
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "right", True
    for way in ways:
        table.add_row(
            way.name,
            f"{way.right}/{way.images} = {way.top1:.2%}",
            "" if way.agreement is None else f"{way.agreement:.2%}",
            _figure(way.delta_logit),
            _figure(way.delta_probability),
        )
    Console().print(table)
    if not all(way.holds for way in ways):
        typer.echo("error: they do not give the same answers", err=True)
        raise typer.Exit(1)
    typer.echo("the same answers" if len({way.right for way in ways}) == 1 else "as close as the precision must be")


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
