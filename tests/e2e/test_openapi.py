"""The document against a real server: schemathesis finds no answer that it does not promise."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.server import ROOT, Server, serving
from tests.reporting import MUST_SHOW

pytestmark = pytest.mark.e2e
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
CONFIG = ROOT / "tests" / "e2e" / "schemathesis.toml"
PARTS = {
    "what schemas can say": ("--exclude-path-regex", "/(infer|embed)$"),
    # that as many values as the shape asks for make an image of the model, that a model has features
    "what they cannot": ("--include-path-regex", "/(infer|embed)$", "--exclude-checks", "positive_data_acceptance"),
}
PHASES = "examples,coverage,fuzzing"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One worker with default settings."""
    with serving(tmp_path_factory.mktemp("openapi")) as started:
        yield started


def explore(server: Server, folder: Path, examples: int, options: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Let schemathesis compare *server* with its document, the same way each time."""
    return subprocess.run(
        [
            *(
                SCHEMATHESIS,
                "--config-file",
                str(CONFIG),
                "run",
                f"{server.url}/openapi.json",
                "--checks",
                "all",
                "--phases",
                PHASES,
            ),
            *("--max-examples", str(examples), "--no-color", *options),
        ],
        cwd=folder,  # it leaves a folder of its own behind
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=1500,
    )


@pytest.mark.parametrize("options", PARTS.values(), ids=PARTS)
def test_schemathesis_finds_nothing(server: Server, tmp_path: Path, options: tuple[str, ...]) -> None:
    """In the size that CI has time for: no status, header or shape that is not documented, and no 500."""
    found = explore(server, tmp_path, 40, options)

    assert found.returncode == 0, found.stdout[-6000:]
    assert "Tested:" in found.stdout


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("options", PARTS.values(), ids=PARTS)
def test_schemathesis_finds_nothing_in_many_more(
    server: Server, tmp_path: Path, options: tuple[str, ...], record_property: Callable[[str, object], None]
) -> None:
    """The same with more than an order of magnitude more."""
    found = explore(server, tmp_path, 1000, options)

    record_property(MUST_SHOW, "schemathesis passes the OpenAPI document")
    for what, pattern in (("operations", r"Selected: (.+)"), ("cases", r"Test cases:\s+(.+)")):
        record_property(what, "".join(re.findall(pattern, found.stdout)))
    assert found.returncode == 0, found.stdout[-6000:]
