"""A real Prometheus with the configuration that ships, scraping given ports instead of compose's services."""

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import yaml

from tests.deploy.tools import DEPLOY, need
from tests.e2e.server import free_port

INTERVAL_S = 1  # of scrapes and of rules; a rate wants two scrapes, so tests wait a second or two


@dataclass
class Prometheus:
    """A running Prometheus."""

    port: int

    def ask(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its API."""
        answer = httpx2.get(f"http://127.0.0.1:{self.port}/api/v1/{path}", params=parameters, timeout=20)
        content = answer.json()
        assert content["status"] == "success", content
        return content["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an instant query."""
        result: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return result

    def wait_for(self, expression: str, within_s: float = 60) -> list[dict[str, Any]]:
        """Wait until an expression has samples; fails if it never does."""
        deadline = time.monotonic() + within_s
        while not (samples := self.query(expression)):
            assert time.monotonic() < deadline, f"no sample within {within_s} s: {expression}"
            time.sleep(0.2)
        return samples


@contextlib.contextmanager
def scraping(
    folder: Path, *ports: int, accelerator: str = "cpu", fires_after: str | None = None
) -> Iterator[Prometheus]:
    """A Prometheus that scrapes *ports* of loopback with the shipped rules and alerts, which all fire *fires_after*."""
    program = need("prometheus", "prometheus")
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": f"{INTERVAL_S}s", "evaluation_interval": f"{INTERVAL_S}s"}
    config["rule_files"] = [str(DEPLOY / "prometheus" / name) for name in config["rule_files"]]
    if fires_after is not None:
        config["rule_files"] = [str(_impatient(Path(path), folder, fires_after)) for path in config["rule_files"]]
    (job,) = config["scrape_configs"]
    del job["dns_sd_configs"], job["relabel_configs"]
    targets = [f"127.0.0.1:{port}" for port in ports]
    job["static_configs"] = [{"targets": targets, "labels": {"accelerator": accelerator}}]
    path = folder / "prometheus.yml"
    path.write_text(json.dumps(config))

    port, log = free_port(), folder / "prometheus.log"
    command = [program, f"--config.file={path}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT)
    try:
        started = Prometheus(port)
        _wait_ready(started, process, log)
        yield started
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _impatient(rules: Path, folder: Path, fires_after: str) -> Path:
    """A copy of *rules* whose alerts wait no longer than *fires_after*."""
    content = yaml.safe_load(rules.read_text())
    for group in content["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                rule["for"] = fires_after
    copy = folder / rules.name
    copy.write_text(json.dumps(content))
    return copy


def _wait_ready(prometheus: Prometheus, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(httpx2.TransportError):
            if httpx2.get(f"http://127.0.0.1:{prometheus.port}/-/ready", timeout=5).status_code == 200:
                return
        time.sleep(0.05)
    raise RuntimeError(f"Prometheus did not come up:\n{log.read_text()}")
