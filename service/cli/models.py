"""`models`, `promote` and `rollback`: what is served, and changing it on all workers."""

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from service.cli.client import DEFAULT_URL, Key, Service, Url, ask

EXAMPLE = "python -m service models --url http://127.0.0.1:3000"
Name = Annotated[str, typer.Argument(help="Name of the model.", show_default=False)]


def models(url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Show what is served, and what should be and is not."""
    table = Table("model", "version", "state", "role", "precision", "top-1", "on", "reason")
    for model in ask(Service(url, key), "GET", "/v1/models")["models"]:
        for version in model["versions"]:
            active = version["version"] == model.get("version")
            quality = model.get("quality") if active else None  # of the active version; none where nobody measured it
            table.add_row(
                model["name"],
                str(version["version"]),
                version["state"],
                ", ".join(version.get("roles", ())),
                ", ".join(version.get("precisions", ())),
                "" if quality is None else f"{quality['top1']:.4f}",
                model["provider"] if active else "",
                version.get("reason", ""),
            )
    Console().print(table)


def promote(
    name: Name,
    version: Annotated[int, typer.Argument(min=1, help="Version that becomes active.", show_default=False)],
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Make a version the active one; done when every worker serves it."""
    _say(ask(Service(url, key), "POST", f"/v1/models/{name}/promote", {"version": version}))


def rollback(name: Name, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Make the version active that was before; done when every worker serves it."""
    _say(ask(Service(url, key), "POST", f"/v1/models/{name}/rollback", {}))


def _say(changed: dict[str, Any]) -> None:
    plan = changed["plan"]
    before = "" if plan["previous"] is None else f"; rollback goes to version {plan['previous']}"
    typer.echo(f"{changed['name']}: version {plan['active']} is active on every worker{before}")
