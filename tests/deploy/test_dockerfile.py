"""What can be known of the image without building it: what it is made from, and how it runs."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.deploy.tools import DEPLOY, ROOT, run

TEXT = (DEPLOY / "Dockerfile").read_text()


def instructions(name: str) -> list[str]:
    """The arguments of every such instruction, with continued lines joined."""
    return re.findall(rf"^{name}\s+(.+)$", TEXT.replace("\\\n", " "), re.MULTILINE)


def test_there_is_one_base_image() -> None:
    """In both stages."""
    assert {line.split(" AS ")[0] for line in instructions("FROM")} == {"python:3.11-slim"}


def test_packages_come_with_hashes() -> None:
    """From the locked requirements of either variant, and never from source."""
    assert "--require-hashes" in TEXT
    assert "--only-binary :all:" in TEXT
    for variant in ("cpu", "gpu"):
        locked = (ROOT / "requirements" / f"serve-{variant}.txt").read_text()
        names = re.findall(r"^(\w[\w.-]*)==", locked, re.MULTILINE)
        blocks = re.findall(r"^\w[^\n]*\\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", locked, re.MULTILINE)
        assert len(names) == len(blocks) > 50


def test_it_runs_without_root_and_without_a_shell() -> None:
    """A numeric user, so that Kubernetes can see that it is not root; signals reach the server itself."""
    assert instructions("USER") == ["10001:10001"]
    (entrypoint,) = instructions("ENTRYPOINT")
    assert json.loads(entrypoint) == ["bentoml", "serve", "service.service:ConvServe"]
    assert re.search(r'^HEALTHCHECK .* CMD \["python", "/app/healthcheck.py"\]$', TEXT, re.MULTILINE)


def test_the_context_holds_what_is_copied_and_no_more() -> None:
    """The ignore file lets through exactly the sources of COPY."""
    let_through = {
        line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    copied = {
        source.replace("${VARIANT}", "*")
        for line in instructions("COPY")
        if not line.startswith("--from")
        for source in line.split()[:-1]
    }

    assert copied == let_through


@pytest.mark.parametrize(("answer", "status"), [(b"200 OK", 0), (b"503 Service Unavailable", 1), (None, 1)])
def test_the_health_check_says_whether_it_is_ready(answer: bytes | None, status: int) -> None:
    """Ready, not ready, and nobody there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % (answer or b""))

        if answer is None:
            listener.close()
        else:
            threading.Thread(target=serve, daemon=True).start()
        finished = subprocess.run(
            [sys.executable, DEPLOY / "healthcheck.py"],
            env={**os.environ, "BENTOML_PORT": str(port)},
            capture_output=True,
            text=True,
            check=False,
        )

    assert finished.returncode == status, finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.e2e
@pytest.mark.parametrize("variant", ["cpu", "gpu"])
def test_the_packages_resolve_for_the_image(tmp_path: Path, variant: str) -> None:
    """Every locked file is there as a wheel for Debian 12 and Python 3.11, CUDA's too; none is downloaded."""
    uv = Path(sys.executable).with_name("uv")
    options = ["--dry-run", "--require-hashes", "--only-binary=:all:", "--target", tmp_path]
    options += ["--python-platform=x86_64-manylinux_2_28", "--python-version=3.11"]

    run(uv, "pip", "install", *options, "--requirement", ROOT / "requirements" / f"serve-{variant}.txt")
