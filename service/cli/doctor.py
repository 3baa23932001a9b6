"""`doctor`: what is wrong with this installation, its settings and its models."""

import typer

from service.doctor.examination import examine


def doctor() -> None:
    """Say in plain words what is wrong with settings, packages, GPU, folders and models; status 1 if anything is."""
    findings = examine()
    for finding in findings:
        typer.echo(f"✗ {finding.where}: {finding.what}\n  → {finding.mend}")
    if findings:
        raise typer.Exit(1)
    typer.echo("✓ nothing is wrong with the settings, the packages, the folders and the models")
