"""A pytest plugin that writes what `make VERB` has shown: `-p tests.reporting --report docs/reports/VERB`.

It lists the tests that are marked `slow` and those that recorded figures (`record_property`), with their durations, and
counts the rest; beside them stand the commit, the machine and the libraries. A property `MUST_SHOW` is a sentence that
its test shows: the report begins with these and whether they passed. Two files: `.json`, and `.md` from it.
"""

import json
import os
import platform
import subprocess
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = ("bentoml", "lightning", "onnx", "onnxruntime", "torch")
KEPT = ("slow", "figures", "must_show")
MUST_SHOW = "must show"
VERDICTS = {"passed": "pass", "failed": "FAIL", "skipped": "not run"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say where the report goes."""
    parser.addoption("--report", metavar="PATH", help="write PATH.json and PATH.md when the tests have run")


def pytest_configure(config: pytest.Config) -> None:
    """Begin, in the one process that there is."""
    if config.getoption("--report"):
        config.pluginmanager.register(Report(Path(config.getoption("--report"))))


class Report:
    """Gathers outcomes while the tests run and writes them at the end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._began = time.time()
        self._commit = _git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")  # of what is tested
        self._tests: dict[str, dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add a phase of a test: its time counts, and the worst outcome of the three is its own."""
        test = self._tests.setdefault(
            report.nodeid, {"outcome": "passed", "seconds": 0.0, "slow": "slow" in report.keywords, "figures": {}}
        )
        test["seconds"] = round(test["seconds"] + report.duration, 1)
        if report.outcome != "passed":
            test["outcome"] = report.outcome
        test["figures"] |= {name: value for name, value in report.user_properties if name != MUST_SHOW}
        test["must_show"] = [value for name, value in report.user_properties if name == MUST_SHOW]

    def pytest_sessionfinish(self) -> None:
        """Write both files."""
        content = {
            "commit": self._commit,
            "dirty": self._commit.endswith("-dirty"),
            "finished": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            "minutes": round((time.time() - self._began) / 60, 1),
            "machine": {"cpu": _cpu(), "cores": len(os.sched_getaffinity(0)), "system": platform.system()},
            "libraries": {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES},
            "outcomes": dict(Counter(test["outcome"] for test in self._tests.values())),
            "must_show": {
                line: VERDICTS[test["outcome"]] for test in self._tests.values() for line in test.get("must_show", ())
            },
            "tests": {
                name: test
                for name, test in sorted(self._tests.items())
                if test["outcome"] == "failed" or any(test[key] for key in KEPT)
            },
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.with_suffix(".json").write_text(json.dumps(content, indent=2) + "\n")
        self._path.with_suffix(".md").write_text(markdown(content, self._path.name))


def markdown(content: dict[str, Any], verb: str) -> str:
    """Return the report for people."""
    machine = content["machine"]
    libraries = ", ".join(f"{name} {number}" for name, number in content["libraries"].items())
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(content["outcomes"].items()))
    lines = [
        f"# What `make {verb}` has shown",
        "",
        f"Commit `{content['commit']}`, {content['finished']}; {content['minutes']} min on {machine['cores']} cores",
        f"of {machine['cpu']}; {libraries}.",
        "",
        *(f"- {verdict}: {line}" for line, verdict in content["must_show"].items()),
        *([""] if content["must_show"] else []),
        f"{outcomes}. The table has the tests that take minutes, and those that measure something.",
        "",
        "| test | outcome | seconds | figures |",
        "|---|---|---:|---|",
    ]
    for name, test in content["tests"].items():
        figures = "; ".join(f"{key} {value}" for key, value in test["figures"].items())
        lines.append(f"| `{name.removeprefix('tests/')}` | {test['outcome']} | {test['seconds']} | {figures} |")
    return "\n".join([*lines, ""])


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
