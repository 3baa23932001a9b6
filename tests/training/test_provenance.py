"""training/provenance.py."""

import subprocess
from pathlib import Path

from training.provenance import LIBRARIES, git_commit, library_versions


def git(folder: Path, *arguments: str) -> str:
    """Run git in *folder*, as somebody."""
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def test_a_commit_is_named_and_changes_make_it_dirty(tmp_path: Path) -> None:
    """Files that git does not know of change nothing."""
    git(tmp_path, "init")
    assert git_commit(tmp_path) is None

    (tmp_path / "code").write_text("1")
    git(tmp_path, "add", "code")
    git(tmp_path, "commit", "--message", "first")
    git(tmp_path, "tag", "v1")
    commit = git(tmp_path, "rev-parse", "HEAD").strip()
    (tmp_path / "new").write_text("unknown")
    assert git_commit(tmp_path) == commit

    (tmp_path / "code").write_text("2")
    assert git_commit(tmp_path) == f"{commit}-dirty"


def test_outside_git_there_is_no_commit(tmp_path: Path) -> None:
    """None, not an error."""
    assert git_commit(tmp_path) is None


def test_every_library_has_a_version() -> None:
    """And so has Python."""
    versions = library_versions()

    assert versions.keys() == {"python", *LIBRARIES}
    assert all(version[0].isdigit() for version in versions.values())
