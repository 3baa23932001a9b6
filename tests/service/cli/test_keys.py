"""service/cli/keys.py."""

from pathlib import Path

from typer.testing import CliRunner

from service.__main__ import app
from service.access.keys import find, read


def new(file: Path, *arguments: str) -> tuple[int, str]:
    """Run the verb; its status and what it printed."""
    result = CliRunner().invoke(app, ["keys", "new", *arguments, "--file", str(file)])
    return result.exit_code, result.output.strip()


def test_a_key_is_printed_and_its_digest_kept(tmp_path: Path) -> None:
    """Beside what was there, readable to nobody else."""
    file = tmp_path / "keys"

    _, first = new(file, "ann")
    _, second = new(file, "root", "--role", "admin", "--rate", "2.5")

    keys = read(file)
    ann, root = find(keys, first.encode()), find(keys, second.encode())
    assert ann is not None
    assert root is not None
    assert (ann.name, ann.role, ann.rate_per_s) == ("ann", "classify", None)
    assert (root.name, root.role, root.rate_per_s) == ("root", "admin", 2.5)
    assert first not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    """And the file stays as it was, with nothing beside it."""
    file = tmp_path / "keys"
    new(file, "ann")
    before = file.read_text()

    status, said = new(file, "ann")

    assert (status, said) == (1, f"{file}: name of key 'ann' is there twice")
    assert file.read_text() == before
    assert list(tmp_path.iterdir()) == [file]
