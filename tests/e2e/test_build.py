"""`bentoml build` from the repository's root, with both bentofiles."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.e2e.server import BENTOML, ROOT

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    ("bentofile", "runtime", "other"),
    [("bentofile.yaml", "onnxruntime-gpu", "onnxruntime"), ("bentofile.cpu.yaml", "onnxruntime", "onnxruntime-gpu")],
)
def test_the_bento_holds_what_serving_needs(tmp_path: Path, bentofile: str, runtime: str, other: str) -> None:
    """The service, the contract and the model that ships; one ONNX Runtime; no torch, no training, no tests.

    And how its image is made.
    """
    environ = {**os.environ, "BENTOML_HOME": str(tmp_path), "BENTOML_DO_NOT_TRACK": "True"}
    built = subprocess.run(
        [BENTOML, "build", "--bentofile", bentofile, "--output", "tag"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    name, version = built.stdout.strip().removeprefix("__tag__:").split(":")
    bento = tmp_path / "bentos" / name / version

    files = {str(path.relative_to(bento / "src")) for path in (bento / "src").rglob("*") if path.is_file()}
    assert {"service/service.py", "models/spec.py", "models/repository/lenet/1/model.onnx"} <= files
    assert {f"service/ui/static/{name}" for name in ("ui.html", "ui.js", "docs.html", "base.css")} <= files
    assert not [file for file in files if file.startswith(("training", "tests", "benchmarks")) or ".pyc" in file]
    packages = [
        line.split("==")[0] for line in (bento / "env/python/requirements.txt").read_text().splitlines() if "==" in line
    ]
    assert runtime in packages
    assert not {other, "torch", "lightning", "onnx"} & set(packages)
    dockerfile = (bento / "env" / "docker" / "Dockerfile").read_text()
    assert "FROM python:3.11-slim" in dockerfile
    assert "USER bentoml" in dockerfile
    assert yaml.safe_load((bento / "bento.yaml").read_text())["service"] == "service.service:ConvServe"
