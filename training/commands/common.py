"""What the verbs share: options that several of them have, faults of the user as one line, the report of an export."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from models.errors import ModelError
from models.spec import IMAGE_SUFFIX, NAME_PATTERN
from models.store import PRECISION_FILES, Precision, Rung
from training.errors import ExportRefused, TrainingError

if TYPE_CHECKING:
    from training.publish import Exported

DEFAULT_STORE = Path("models/repository")


def _model_name(name: str | None) -> str | None:
    """Refuse a bad name now, not after minutes of training."""
    if name is not None and (not re.fullmatch(NAME_PATTERN, name) or name.endswith(IMAGE_SUFFIX)):
        raise typer.BadParameter(f"{name!r} does not match {NAME_PATTERN} or ends in {IMAGE_SUFFIX}")
    return name


Store = Annotated[Path, typer.Option(help="Model store that the new version is put into.")]
Name = Annotated[
    str | None, typer.Option(help="Name of the model in the store; by default that of its net.", callback=_model_name)
]


class PrecisionName(StrEnum):
    """The precisions, as typer wants its choices."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


Precisions = Annotated[
    list[PrecisionName] | None,
    typer.Option(help="Precision to write, once for each; fp32 is always written, and by default all are."),
]


def chosen(names: list[PrecisionName] | None) -> tuple[Precision, ...]:
    """Return the precisions that were asked for; all of them if none was."""
    return tuple(precision for precision in PRECISION_FILES if not names or precision in names)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn what can go wrong into one line: exit code 2 for the user's faults, 1 for an export that is refused,
    130 for Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        typer.echo("\ninterrupted before it was done", err=True)
        raise typer.Exit(130) from error
    except (TrainingError, ModelError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1 if isinstance(error, ExportRefused) else 2) from error


def report_export(exported: "Exported", origin: dict[str, str], seconds: float) -> None:
    """Print what was put into the store, how good it is, and which precisions were refused for what."""
    table = Table(title=f"{exported.name} version {exported.version}", show_header=False, title_justify="left")
    rows = dict(origin)
    if exported.quality is None:
        rows["quality"] = "not measured"
    else:
        rows["test top-1"] = f"{exported.quality.top1:.2%} of {exported.quality.images} images"
        rows["test top-5"] = f"{exported.quality.top5:.2%}"
        rows["test ECE"] = f"{exported.quality.ece:.4f}"
    for precision, rung in exported.ladder.items():
        if precision != "fp32":
            rows[precision] = _verdict(rung)
    rows |= {
        "model file": str(exported.path),
        "size": f"{exported.size_bytes / 1000:.1f} kB",
        "time": f"{seconds:.1f} s",
    }
    for key, value in rows.items():
        table.add_row(key, value)
    Console().print(table)


def _verdict(rung: Rung) -> str:
    figures = ""
    if rung.quality is not None and rung.agreement is not None:
        figures = f": top-1 {rung.quality.top1:.2%}, agrees with fp32 on {rung.agreement:.2%}"
    method = "" if rung.method is None else f"; {rung.method}"
    return f"admitted{figures}{method}" if rung.admitted else f"refused: {rung.reason}{method}"
