"""`classify`: files or folders through a running service, into a table on the terminal or a file of results."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from service.cli.client import DEFAULT_URL, Key, Service, Url, fail
from service.cli.posting import Answer, Stopped, classify_all
from service.cli.results import Results, UnusableResults

EXAMPLE = "python -m service classify scans/ --output scans.csv"
_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"})  # of what is taken from folders


def classify(  # noqa: PLR0917 (each is an option of the command line)
    files: Annotated[list[Path], typer.Argument(help="Image files, and folders of them.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option(help="File of results, .csv or .jsonl; the same command again goes on with it.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name of a served model, if not the default one.")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="Version, if not the active one.")] = None,
    top_k: Annotated[int, typer.Option(min=1, help="Predictions per image.")] = 1,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Below this probability an answer is marked as abstained.")
    ] = None,
    connections: Annotated[int, typer.Option(min=1, max=256, help="Requests on their way at once.")] = 8,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Classify image files; status 1 if any of them was refused."""
    wanted = {"model": model, "version": version, "top_k": top_k, "threshold": threshold}
    query = {name: str(value) for name, value in wanted.items() if value is not None}
    paths = list(dict.fromkeys(_found(files)))
    run = _Run(Service(url, key), query, connections)
    try:
        if output is None:
            run.go(paths, _print)
        else:
            with Results(output, top_k) as results:
                there = [path for path in paths if str(path) not in results.done]
                run.skipped = len(paths) - len(there)
                run.go(there, lambda path, answer: results.add(str(path), answer))
    except UnusableResults as error:
        fail(str(error))
    except (Stopped, KeyboardInterrupt) as error:
        goes_on = "" if output is None else f"; the same command goes on with {output}"
        fail(f"{str(error) or 'stopped'}{goes_on}")
    typer.echo(run.summary(), err=True)
    if run.refused:
        raise typer.Exit(1)


class _Run:
    """One run: what it asks with, and what it counts."""

    def __init__(self, service: Service, query: dict[str, str], connections: int) -> None:
        self._ask = (service, query)
        self._connections = connections
        self._began = monotonic()
        self.classified = self.refused = self.skipped = 0

    def go(self, paths: list[Path], take: Any) -> None:
        """Classify *paths* under a progress bar, which goes to standard error."""
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
        console = Console(stderr=True)
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("", total=len(paths), rate="")

            def taken(path: Path, answer: Answer) -> None:
                take(path, answer)
                self.refused += "error" in answer
                self.classified += "error" not in answer
                progress.update(task, advance=1, rate=f"{self._rate():,.0f} images/s")

            asyncio.run(classify_all(*self._ask, paths, self._connections, taken))

    def summary(self) -> str:
        """Return what was done, in one line."""
        parts = [f"{self.classified:,} classified", f"{self.refused:,} refused"]
        if self.skipped:
            parts.append(f"{self.skipped:,} were done before")
        return f"{', '.join(parts)}; {self._rate():,.0f} images/s"

    def _rate(self) -> float:
        return (self.classified + self.refused) / max(monotonic() - self._began, 1e-3)


def _found(files: list[Path]) -> Iterator[Path]:
    for path in files:
        if path.is_dir():
            yield from sorted(one for one in path.rglob("*") if one.suffix.lower() in _SUFFIXES and one.is_file())
        elif path.exists():
            yield path
        else:
            fail(f"{path}: no such file or folder")


def _print(path: Path, answer: Answer) -> None:
    if "error" in answer:
        typer.echo(f"{path}\t{answer['code']}\t{answer['error']}")
        return
    words = [str(path), *(f"{one['label']} {one['probability']:.4f}" for one in answer["predictions"])]
    typer.echo("\t".join([*words, "abstained"] if answer.get("abstained") else words))
