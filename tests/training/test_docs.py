"""docs/training.md: every verb, and no option that there is none of."""

import re
from pathlib import Path

import typer.main
from typer.core import TyperGroup

from training.__main__ import app

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text()
OF_OTHERS = {"--help", "--logdir", "--data-binary"}  # every verb's, TensorBoard's, curl's


def options() -> dict[str, set[str]]:
    """The options of each verb, by both of their names."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return {
        verb: {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
        for verb, command in group.commands.items()
    }


def test_every_verb_is_documented() -> None:
    """In the list of all, in the order of the command line."""
    assert "{" + ",".join(options()) + "}" in TEXT


def test_documented_options_exist() -> None:
    """Those behind a verb are that verb's, all others somebody's."""
    known = options()
    for line in TEXT.splitlines():
        used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", line)) - OF_OTHERS
        verb = re.search(r"python -m training (\w+)", line)
        allowed = known[verb[1]] if verb and verb[1] in known else set().union(*known.values())
        assert used <= allowed, line
