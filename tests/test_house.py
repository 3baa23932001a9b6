"""The rules of the house that a machine can check: who imports whom, and how large a module may be."""

import ast
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("models", "service", "training", "benchmarks", "deploy", "tests")
MAX_LINES, MAX_MEDIAN_LINES = 300, 150

# what a folder must not import, and what only some of its modules may
NEVER: dict[str, set[str]] = {
    "models": {"service", "training", "torch", "bentoml", "onnxruntime", "onnx", "prometheus_client", "uvicorn"},
    "service": {"training", "torch", "onnx", "sklearn", "benchmarks", "tests"},
    "training": {"service", "bentoml", "prometheus_client", "benchmarks", "tests"},
    "benchmarks": {"training", "torch", "prometheus_client", "tests"},
    "deploy": {"models", "training", "torch", "bentoml", "onnxruntime", "benchmarks", "tests"},
}
ONLY_IN: dict[str, dict[str, set[str]]] = {
    "models": {},
    "service": {"bentoml": {"service"}, "onnxruntime": {"session"}, "prometheus_client": {"exposition"}},
    "training": {"onnxruntime": {"export", "evaluate", "quantize", "importer"}},
    "benchmarks": {"service": {"ceiling", "limit", "precision", "unmeasured"}, "bentoml": {"stock"}},
    "deploy": {},
}


def modules(folder: str) -> list[Path]:
    """The Python files of a folder."""
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """The dotted names that a module imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("folder", NEVER)
def test_imports_go_one_way(folder: str) -> None:
    """`service → models ← training`, and each large library behind one module."""
    broken = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(folder)
        for name in sorted(imports(path))
        for package in [name.split(".")[0]]
        if package in NEVER[folder] or path.stem not in ONLY_IN[folder].get(package, {path.stem})
    ]

    assert broken == []


def test_benchmarks_see_the_service_as_a_url() -> None:
    """But for the ceiling and the precisions, which need the very same session, and the service that counts nothing."""
    for path in modules("benchmarks"):
        if path.stem == "unmeasured":
            continue
        ours = {name.split(".")[1] for name in imports(path) if name.startswith("service.")}
        assert ours <= {"session"}, path


def test_deployment_sees_the_metrics_alone() -> None:
    """Dashboards are made from their names, and from nothing else of the service."""
    for path in modules("deploy"):
        ours = {name.split(".")[1] for name in imports(path) if name.startswith("service.")}
        assert ours <= {"families"}, path


def test_serving_imports_no_torch() -> None:
    """In a fresh interpreter, whatever else is installed."""
    code = (
        "import sys, service.service; print([m for m in ('torch', 'onnx', 'sklearn', 'training') if m in sys.modules])"
    )

    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"


def test_modules_are_small() -> None:
    """None above 300 lines; the median far below."""
    sizes = {path: len(path.read_text().splitlines()) for folder in OURS for path in modules(folder)}

    assert [f"{path.relative_to(ROOT)}: {lines}" for path, lines in sizes.items() if lines > MAX_LINES] == []
    product = [lines for path, lines in sizes.items() if "tests" not in path.parts]
    assert statistics.median(product) <= MAX_MEDIAN_LINES


def test_the_ceiling_is_least_code() -> None:
    """What the service is compared with stays as bare as it is said to be."""
    assert len((ROOT / "benchmarks" / "ceiling.py").read_text().splitlines()) <= 60


def test_the_product_asserts_nothing() -> None:
    """Assertions vanish under -O: what must hold is checked by raising."""
    guilty = [
        str(path.relative_to(ROOT))
        for folder in ("models", "service", "training", "benchmarks", "deploy")
        for path in modules(folder)
        if any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(path.read_text())))
    ]

    assert guilty == []


def test_what_torch_loads_is_weights_only() -> None:
    """A checkpoint is a pickle: nobody loads one in the way that runs what it says."""
    calls = [
        (path, node)
        for path in modules("training")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"
    ]

    assert len(calls) >= 2
    for path, call in calls:
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert given.get("weights_only") == "True", f"{path}:{call.lineno}"


def test_settings_are_read_in_one_place() -> None:
    """Nobody else looks at the environment."""
    readers = {
        path.stem
        for path in modules("service")
        if {"getenv", "environ"}
        & {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    }

    # service.py passes folders on to the workers; the package switches telemetry off before anything is imported
    assert readers <= {"settings", "service", "__init__"}
