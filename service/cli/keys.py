"""`keys new`: makes an API key."""

import os
from pathlib import Path
from typing import Annotated

import typer

from service.access import keys
from service.access.keys import InvalidKeyFile, Key
from service.cli.client import fail
from service.http import Role

app = typer.Typer(help="API keys: a file holds their digests (CONVSERVE_KEYS_FILE).", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `new` a verb of its own, though it is the only one."""


@app.command(epilog="Example: python -m service keys new uploader --rate 50 --file keys")
def new(
    name: Annotated[str, typer.Argument(help="Whose key it is: the name in logs.", show_default=False)],
    file: Annotated[Path, typer.Option(help="File that its digest is added to; made if it is not there.")],
    role: Annotated[Role, typer.Option(help="admin may also load, unload, promote and roll back.")] = "classify",
    rate: Annotated[float | None, typer.Option(help="Requests per second, if not the settings' rate.")] = None,
) -> None:
    """Make a key, add its digest to a file, and print the key, once: it is kept nowhere."""
    secret = keys.new_key()
    key = Key(name, role, keys.digest_of(secret), rate)
    before = file.read_text("utf-8") if file.exists() else ""
    gap = "" if not before or before.endswith("\n") else "\n"
    aside = file.with_name(f".{file.name}.new")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as new_file:
            new_file.write(f"{before}{gap}{key.line()}\n")
        keys.read(aside)
        aside.replace(file)
    except InvalidKeyFile as error:
        fail(str(error).replace(str(aside), str(file)))
    except OSError as error:
        fail(f"{file}: {error.strerror}")
    finally:
        aside.unlink(missing_ok=True)
    typer.echo(secret)
