"""`compare`: several runs side by side."""
# ruff: noqa: PLC0415 - torch takes seconds to import, and --help shall not

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from training.commands.common import one_line_errors

EXAMPLE = "python -m training compare runs/lenet-digits-1 runs/nin-digits-1"


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs on one data set.")],
    out: Annotated[Path, typer.Option(help="Folder for compare.md, .json and .png.")] = Path("build/compare"),
) -> None:
    """Compare runs: accuracy on the test split, parameters, multiply-adds, training time, latency."""
    from training.compare import compare as compare_runs
    from training.measuring.charts import engineering

    with one_line_errors():
        rows = compare_runs(runs, out)
    table = Table("run", "top-1", "ECE", "params", "MACs", "training")
    for latency in rows[0].latencies:
        table.add_column(f"{latency.batch} im.")
    table.columns[0].overflow = "fold"
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "right", True
    for row in rows:
        table.add_row(
            row.run,
            f"{row.top1:.2%}",
            f"{row.ece:.4f}",
            engineering(row.parameters),
            engineering(row.multiply_adds),
            f"{row.training_s:.1f} s",
            *(f"{latency.median_ms:.2f} ms" for latency in row.latencies),
        )
    Console().print(table)
    for name in ("compare.md", "compare.json", "compare.png"):
        typer.echo(str(out / name))
