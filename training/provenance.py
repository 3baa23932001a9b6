"""Where weights come from: the commit of the code and the versions of the libraries that make a difference."""

import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("lightning", "numpy", "onnx", "onnxruntime", "onnxscript", "pillow", "scikit-learn", "torch")
HERE = Path(__file__).parent


def git_commit(folder: Path = HERE) -> str | None:
    """Return the commit of this code, with `-dirty` if tracked files were changed since; None outside git."""
    git = shutil.which("git")
    if git is None:
        return None
    answer = subprocess.run(  # noqa: S603 - a constant command
        [git, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip() if answer.returncode == 0 else None


def library_versions() -> dict[str, str]:
    """Return the version of Python and of each library that has a hand in training or export."""
    return {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES}
