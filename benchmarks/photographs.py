"""Full-size networks on photographs: HTTP against each model's own limit (benchmarks/limit.py), and int8 against fp32.

    python -m benchmarks.photographs [--store build/full-size] [--rounds 7] [--seconds 10] [--sweep]

For every model, its precisions in turn, again and again: the limit, then the service at 32 connections; --sweep adds
other numbers of connections. Writes build/bench-photographs.json and prints median ratios.
"""

import argparse
import contextlib
import dataclasses
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from PIL import Image
from sklearn.datasets import load_sample_images

from benchmarks import full_size, machine, servers
from benchmarks.load import ROOT, Body, drive
from benchmarks.ratios import ratio
from models.store import ModelStore

REPORT = ROOT / "build" / "bench-photographs.json"
SIZE = (640, 480)
CONNECTIONS = 32
SWEEP = {"alexnet": (8, 128, 512), "vgg16": (8,)}  # beside 32
_TURNS = 5
PRECISIONS = ("fp32", "int8")


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, default=full_size.STORE)
    parser.add_argument("--models", nargs="+", default=["alexnet", "vgg16"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--sweep", action="store_true", help="other numbers of connections too")
    arguments = parser.parse_args()
    full_size.make(arguments.store, arguments.models)
    store = ModelStore(arguments.store)
    report: dict[str, Any] = {"machine": machine.facts(), "models": {}}
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.jpg"
        photo.write_bytes(_photograph())
        for name in arguments.models:
            report["models"][name] = _measure(store, name, photo, arguments)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=2) + "\n")
    print(f"all of it: {REPORT.relative_to(ROOT)}")


def _measure(store: ModelStore, name: str, photo: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    ladder = store.manifest(name, store.versions(name)[-1]).ladder
    precisions = [precision for precision in PRECISIONS if precision in ladder and ladder[precision].admitted]
    others = SWEEP.get(name, ()) if arguments.sweep else ()
    seconds = ("--seconds", str(arguments.seconds))
    body = Body(photo, "image/jpeg", '"predictions"')
    limits: dict[str, list[float]] = {precision: [] for precision in precisions}
    served: dict[str, list[float]] = {precision: [] for precision in precisions}
    sweep: dict[int, list[float]] = {connections: [] for connections in others}
    tried = ("--seconds", str(arguments.seconds / 3))
    batch = {precision: _limit(store, name, precision, photo, *tried)["batch"] for precision in precisions}
    with contextlib.ExitStack() as services:  # one that nobody asks anything takes nothing from the others
        urls = {precision: services.enter_context(_service(store, name, precision)) for precision in precisions}
        for url in urls.values():
            drive(url, body, connections=CONNECTIONS, seconds=arguments.seconds)
        for number in range(arguments.rounds):
            for precision in precisions if number % 2 == 0 else reversed(precisions):
                found = _limit(store, name, precision, photo, *seconds, "--batch", str(batch[precision]))["per_second"]
                limits[precision].append(found)
                for connections in (CONNECTIONS, *(others if precision == "fp32" else ())):
                    # long enough for each connection to be answered several times
                    longer = max(arguments.seconds, _TURNS * connections / found)
                    measured = drive(urls[precision], body, connections=connections, seconds=longer)
                    if measured.refused or measured.wrong:
                        raise RuntimeError(f"{name} {precision}: {measured}")
                    (served[precision] if connections == CONNECTIONS else sweep[connections]).append(
                        measured.per_second
                    )
    ratios = {f"{one}: HTTP ÷ limit": ratio(served[one], limits[one]) for one in precisions}
    if "int8" in served:
        ratios["int8 ÷ fp32 over HTTP"] = ratio(served["int8"], served["fp32"])
    print(f"{name}, {CONNECTIONS} connections, {arguments.rounds} rounds of {arguments.seconds:g} s; median [interval]")
    for title, value in ratios.items():
        print(f"  {title:24} {value}")
    all_sweep = {CONNECTIONS: served["fp32"], **sweep}
    best = max(median(values) for values in all_sweep.values())
    for connections, values in sorted(all_sweep.items()) if others else ():
        print(f"  {connections:4} connections ÷ best: {median(values) / best:.2f}")
    return {
        "ratios": {title: dataclasses.asdict(value) for title, value in ratios.items()},
        "limit_batch": batch,
        "limit_per_second": limits,
        "http_per_second": served,
        "connections_per_second": all_sweep,
    }


def _limit(store: ModelStore, name: str, precision: str, photo: Path, *options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.limit", str(store.root), name, precision, str(photo), *options]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return found


@contextlib.contextmanager
def _service(store: ModelStore, name: str, precision: str) -> Iterator[str]:
    """Serve one model of the store in one precision; yield the URL that classifies."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "store").mkdir()
        (Path(folder) / "store" / name).symlink_to((store.root / name).resolve())
        plan = {"models": {name: {"precision": precision}}}
        (Path(folder) / "store" / "deployment.json").write_text(json.dumps(plan))
        roomy: dict[str, Any] = {"queue_capacity": 1024, "max_queue_ms": 120_000, "client_share": 1}
        roomy |= {"request_timeout_s": 120, "state_dir": f"{folder}/state"}
        with servers.service(model_store=f"{folder}/store", **roomy) as (url, _):
            yield f"{url}/v1/classify"


def _photograph() -> bytes:
    """Return a photograph of 640×480 as a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(load_sample_images().images[0]).resize(SIZE).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
