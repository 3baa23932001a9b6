"""The README's first command, in a clone where nothing was prepared. It installs, so it takes a while."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import ROOT, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]


@contextmanager
def made(clone: Path, port: int) -> Iterator[Path]:
    """`make serve` in a clone, ready; yield its output, end it as Ctrl-C does."""
    log = clone / "serve.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CONVSERVE_", "VIRTUAL_"))}
    with log.open("wb") as output:
        words = ["make", "serve", f"PORT={port}", f"PYTHON={sys.executable}"]
        process = subprocess.Popen(
            words, cwd=clone, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        while True:
            assert process.poll() is None, log.read_text()
            try:
                if httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == httpx.codes.OK:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        yield log
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)


def test_make_serve_answers_on_a_fresh_clone(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """With the line that it prints, the right digit, and without torch; once installed, within seconds."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)

    with made(clone, free_port()) as log:
        deadline = time.monotonic() + 20
        while not (found := re.search(r"^  (curl .*)$", log.read_text(), re.MULTILINE)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert found is not None
        answer = subprocess.run(found[1], shell=True, cwd=clone, capture_output=True, text=True, check=True).stdout
    assert '"label":"7"' in answer
    assert not list(clone.glob(".venv/lib/python*/site-packages/torch"))

    started = time.monotonic()
    with made(clone, free_port()):
        record_property("ready after, s", round(time.monotonic() - started, 1))
