"""`evaluate`: how good a checkpoint, a model file or a running service is, in figures and pictures."""
# ruff: noqa: PLC0415 - torch takes seconds to import, and --help shall not

import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from models.store import ModelStore, Precision
from training.commands.common import DEFAULT_STORE, one_line_errors

if TYPE_CHECKING:
    from training.measuring.evaluation import Evaluation
    from training.measuring.subject import Subject

EXAMPLE = "python -m training evaluate runs/lenet-digits-1"
MOST_CLASSES = 40  # lines of the table; the JSON has them all

What = Annotated[
    str | None,
    typer.Argument(
        help="A run's folder, a checkpoint, an .onnx file, or NAME or NAME:VERSION in the store; "
        "with --url, the name of a served model."
    ),
]
Url = Annotated[str | None, typer.Option(help="Ask a running service, such as http://127.0.0.1:3000.")]
Key = Annotated[str | None, typer.Option(help="Key of a service that asks for one.", envvar="CONVSERVE_CLIENT_KEY")]
Source = Annotated[
    str | None, typer.Option(help="Data set, such as folder:PATH; by default what it was trained on, if that is here.")
]


def evaluate(
    what: What = None,
    *,
    url: Url = None,
    api_key: Key = None,
    dataset: Source = None,
    crops: Annotated[int, typer.Option(help="10: the mean over four corners, the centre, and their mirrors.")] = 1,
    store: Annotated[Path, typer.Option(help="Model store that NAME is looked up in.")] = DEFAULT_STORE,
    precision: Annotated[Precision, typer.Option(help="Of NAME in the store.")] = "fp32",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for evaluation.json and pictures; by default in the run's, else build/evaluation."),
    ] = None,
) -> None:
    """Measure top-1, top-5, precision and recall of each class, and calibration, on the test split; draw pictures."""
    if what is None and url is None:
        raise typer.BadParameter("say what to evaluate: a run, a checkpoint, a model file, a name, or --url")
    from training.measuring import evaluation, remote, subject

    with one_line_errors(), ExitStack() as connections:
        if url is not None:
            asked = subject.of_service(connections.enter_context(remote.connect(url, what, api_key)), crops)
        else:
            asked = subject.find(str(what), ModelStore(store), precision, crops)
        done = evaluation.evaluate(asked, dataset, out or _folder(asked), crops)
    _report(asked, done)


def _folder(asked: "Subject") -> Path:
    if asked.run is not None:
        return asked.run.path / "evaluation"
    words = asked.name.split(" at ")[0].split("/")[-1].split()
    name = "-".join([*words, *(["http"] if asked.kind == "service" else [])])
    return Path("build/evaluation") / re.sub(r"[^\w.-]+", "-", name)  # no colons, which other systems do not take


def _report(asked: "Subject", done: "Evaluation") -> None:
    scores, console = done.scores, Console()
    console.print(f"{asked.name}: {scores.images} test images", highlight=False, soft_wrap=True)
    table = Table(show_header=False)
    for name, value in (
        ("top-1", f"{scores.top1:.2%}"),
        ("top-5", f"{scores.top5:.2%}"),
        ("calibration error", f"{scores.ece:.4f}"),
        ("mean confidence", f"{scores.mean_confidence:.2%}"),
    ):
        table.add_row(name, value)
    console.print(table)
    classes = Table("class", "images", "precision", "recall")
    for column in classes.columns[1:]:
        column.justify = "right"
    for line in scores.classes[:MOST_CLASSES]:
        classes.add_row(line.label, str(line.images), _percent(line.precision), _percent(line.recall))
    console.print(classes)
    if len(scores.classes) > MOST_CLASSES:
        console.print(f"… and {len(scores.classes) - MOST_CLASSES} more classes in the JSON")
    for path in (done.folder / "evaluation.json", *done.pictures):
        typer.echo(str(path))


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"
