"""tests/reporting.py: what `make test-full` writes."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

TESTS = '''
import pytest

def test_quick():
    """One."""

@pytest.mark.slow
def test_slow(record_property):
    """Two."""
    record_property("must show", "digits are told")
    record_property("top-1", "98.61%")

def test_wrong(record_property):
    """Three."""
    record_property("must show", "letters are told")
    assert False
'''


def test_a_report_has_slow_tests_figures_and_failures(tmp_path: Path) -> None:
    """The others are counted."""
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow: minutes\n")
    words = ["-m", "pytest", "-q", "-p", "tests.reporting", "-p", "no:cacheprovider", "--report", "out/full"]

    done = subprocess.run(
        [sys.executable, *words, "--rootdir", tmp_path, tmp_path],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1, done.stdout + done.stderr
    content = json.loads((tmp_path / "out" / "full.json").read_text())
    assert content["outcomes"] == {"passed": 2, "failed": 1}
    assert {name.split("::")[1]: test["outcome"] for name, test in content["tests"].items()} == {
        "test_slow": "passed",
        "test_wrong": "failed",
    }
    assert content["must_show"] == {"digits are told": "pass", "letters are told": "FAIL"}
    assert content["dirty"] == content["commit"].endswith("-dirty")
    text = (tmp_path / "out" / "full.md").read_text()
    assert "1 failed, 2 passed" in text
    assert "top-1 98.61%" in text
    assert "- FAIL: letters are told" in text
    assert "test_quick" not in text
