"""The command line of training: `python -m training VERB`. It only lists the verbs; each is a file in `commands/`."""

import typer

from training.commands import calibrate, compare, evaluate, export, fit, import_, summary, verify

app = typer.Typer(
    name="python -m training",
    help="Train networks and turn them into model files.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("fit", epilog=f"Example: {fit.EXAMPLE}")(fit.fit)
app.command("evaluate", epilog=f"Example: {evaluate.EXAMPLE}")(evaluate.evaluate)
app.command("calibrate", epilog=f"Example: {calibrate.EXAMPLE}")(calibrate.calibrate)
app.command("export", epilog=f"Example: {export.EXAMPLE}")(export.export)
app.command("import", epilog=f"Example: {import_.EXAMPLE}")(import_.import_)
app.command("summary", epilog=f"Example: {summary.EXAMPLE}")(summary.summary)
app.command("compare", epilog=f"Example: {compare.EXAMPLE}")(compare.compare)
app.command("verify", epilog=f"Example: {verify.EXAMPLE}")(verify.verify)

if __name__ == "__main__":
    app()
