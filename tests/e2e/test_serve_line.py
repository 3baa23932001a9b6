"""What `make serve` says once it serves, in a tree whose environment is prepared."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.e2e.server import ROOT, free_port
from tests.factories import make_spec
from tests.stores import put_version

pytestmark = pytest.mark.e2e


def make_tree(folder: Path) -> Path:
    """The repository, and an environment that make takes for installed."""
    folder.mkdir()
    for entry in ROOT.iterdir():
        if entry.name not in (".git", ".venv"):
            (folder / entry.name).symlink_to(entry)
    binaries = folder / ".venv" / "bin"
    binaries.mkdir(parents=True)
    for name in ("python", "bentoml"):
        (binaries / name).symlink_to(Path(sys.executable).parent / name)
    (folder / ".venv" / ".serve").touch()
    return folder


def said_by_make_serve(folder: Path, **settings: str) -> str:
    """What it prints until it has said how to ask it; it ends as by Ctrl-C."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CONVSERVE_", "MAKE"))}
    environment |= {"CONVSERVE_STATE_DIR": tempfile.mkdtemp(dir=folder), "CONVSERVE_DRAIN_DELAY_S": "0"} | settings
    log = folder / "serve.log"
    with log.open("wb") as output:
        words = ["make", "serve", f"PORT={free_port()}"]
        process = subprocess.Popen(
            words, cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            deadline = time.monotonic() + 120
            while "Ctrl-C" not in log.read_text():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(60)
    return log.read_text()


def test_the_line_suits_the_model_that_is_served(tmp_path: Path) -> None:
    """A digit for the one that ships, none for one of photographs, though a model of digits is served beside it."""
    tree, store = make_tree(tmp_path / "tree"), tmp_path / "store"
    photos = make_spec().provenance.model_copy(update={"dataset": "photos"})
    put_version(store, "birds")
    put_version(store, "pets", spec={"provenance": photos.model_dump()})

    shipped = said_by_make_serve(tree)
    other = said_by_make_serve(tree, CONVSERVE_MODEL_STORE=str(store), CONVSERVE_DEFAULT_MODEL="pets")

    assert "Serving lenet." in shipped
    assert re.search(
        r"^  curl --data-binary @docs/samples/7\.png http://127\.0\.0\.1:\d+/v1/classify$", shipped, re.MULTILINE
    )
    assert "Serving pets." in other
    assert re.search(
        r"^  curl --data-binary @YOUR-IMAGE\.jpg http://127\.0\.0\.1:\d+/v1/classify$", other, re.MULTILINE
    )
