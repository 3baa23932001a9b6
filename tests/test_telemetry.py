"""Nothing is sent to anybody: the runtime underneath collects and uploads unless it is told not to."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.factories import REPOSITORY

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("package", ["service", "training", "benchmarks"])
def test_onnx_runtime_collects_nothing(tmp_path: Path, package: str) -> None:
    """Where it did, it would leave an identifier of the machine in the user's home."""
    model = REPOSITORY / "lenet" / "1" / "model.onnx"
    code = f"import {package}, onnxruntime as o; o.InferenceSession({str(model)!r}, providers=['CPUExecutionProvider'])"
    environ = {name: value for name, value in os.environ.items() if name not in {"CI", "ORT_DISABLE_TELEMETRY"}}
    environ |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}

    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environ, check=True)

    assert list(tmp_path.rglob("*")) == []
