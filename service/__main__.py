"""The command line of the service: `python -m service VERB`. It only lists the verbs; each is a file in `cli/`."""

import typer

from service.cli import classify, doctor, keys, models

app = typer.Typer(
    name="python -m service",
    help="Ask a running service, change what it serves, and find out what is wrong with one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("classify", epilog=f"Example: {classify.EXAMPLE}")(classify.classify)
app.command("models", epilog=f"Example: {models.EXAMPLE}")(models.models)
app.command("promote", epilog="Example: python -m service promote lenet 2")(models.promote)
app.command("rollback", epilog="Example: python -m service rollback lenet")(models.rollback)
app.command("doctor")(doctor.doctor)
app.add_typer(keys.app, name="keys")

if __name__ == "__main__":
    app()
