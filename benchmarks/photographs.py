"""Networks over HTTP: full-size ones on photographs against their limits and int8 against fp32; more connections.

    python -m benchmarks.photographs [--net alexnet vgg16] [--sweep lenet alexnet vgg16] [--store build/full-size]

Without --net and --sweep all of it, in under 20 minutes; with them a part, and the rest of the report stays as it was.
In each round everything of a network is measured once, what is compared side by side, in an order that turns round.
Writes docs/reports/photographs.json and prints what is short of what it must be; the exit code is then 1.
"""

import argparse
import contextlib
import dataclasses
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import httpx2
from PIL import Image
from sklearn.datasets import load_sample_images

from benchmarks import full_size, machine, servers
from benchmarks.load import ROOT, Body, drive, sample_body
from benchmarks.ratios import ratio
from benchmarks.verdicts import verdicts
from models.store import ModelStore

REPORT = ROOT / "docs" / "reports" / "photographs.json"
SHIPPED = ROOT / "models" / "repository"
SIZE = (640, 480)
CONNECTIONS = 32
NETWORKS = ("alexnet", "vgg16")
SWEEPS = {"lenet": (8, 32, 128, 512), "alexnet": (8, 32, 128, 512), "vgg16": (8, 32)}
SECONDS = {"lenet": 3.0, "alexnet": 8.0, "vgg16": 20.0}  # of fp32; int8 needs half as long for as many images
IN_MEMORY = ("alexnet",)  # of which the sweep is beside the limit with as many images in flight
_TURNS = 5  # so often is each connection answered at least: what is decoded ahead of all answers takes others time
Measure = Callable[[], float]


def main() -> None:
    """Measure, report and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", nargs="+", choices=NETWORKS, help="against the limit, int8 against fp32")
    parser.add_argument("--sweep", nargs="+", choices=SWEEPS, help="numbers of connections")
    parser.add_argument("--store", type=Path, default=full_size.STORE, help="AlexNet and VGG16; made where missing")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, help="of every measurement, instead of what suits the network")
    parser.add_argument("--report", type=Path, default=REPORT)
    arguments = parser.parse_args()
    everything = arguments.net is None and arguments.sweep is None
    nets, sweeps = (NETWORKS, tuple(SWEEPS)) if everything else (arguments.net or (), arguments.sweep or ())
    full_size.make(arguments.store, [name for name in NETWORKS if name in (*nets, *sweeps)])
    path: Path = arguments.report
    report: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"networks": {}, "sweeps": {}}
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.jpg"
        photo.write_bytes(_photograph())
        for name in SWEEPS:
            if name in (*nets, *sweeps):
                found = _measure(name, arguments, photo, compared=name in nets, swept=name in sweeps)
                for kind, figures in found.items():
                    report[kind][name] = figures
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(report, indent=2) + "\n")
    judged = [one for one in verdicts(report) if one.network in (*nets, *sweeps)]
    print(f"{CONNECTIONS} connections where no other number stands, {arguments.rounds} rounds; median [interval]")
    print(*judged, f"all of it: {path}", sep="\n")
    if short := [one for one in judged if one.short]:
        sys.exit(f"{len(short)} short of what they must be")


def _measure(
    name: str, arguments: argparse.Namespace, photo: Path, *, compared: bool, swept: bool
) -> dict[str, dict[str, Any]]:
    """Return what is reported of one network, by kind of report."""
    store = ModelStore(SHIPPED if name == "lenet" else arguments.store)
    body = sample_body() if name == "lenet" else Body(photo, "image/jpeg", '"predictions"')
    ladder = store.manifest(name, store.versions(name)[-1]).ladder
    int8 = compared and "int8" in ladder and ladder["int8"].admitted
    seconds = arguments.seconds or SECONDS[name]
    windows = {"fp32": seconds, **({"int8": seconds / 2} if int8 else {})}
    facts = {"machine": machine.facts(), "finished": "", "rounds": arguments.rounds, "seconds": windows}
    with contextlib.ExitStack() as services:  # one that nobody asks anything takes nothing from the others
        measures: dict[str, Measure] = {}
        for precision, window in windows.items():
            url = services.enter_context(_service(store, name, precision))
            warm = drive(url, body, connections=CONNECTIONS, seconds=window).flow_per_second
            command = [sys.executable, "-m", "benchmarks.limit", str(store.root), name, precision, str(photo)]
            if compared:
                batch = int(_limit(command, window / 2)["batch"])
                facts.setdefault("limit_batch", {})[precision] = batch
                measures[f"{precision} limit"] = _of_limit(command, window, batch)
            sizes = SWEEPS[name] if swept and precision == "fp32" else (CONNECTIONS,)
            for connections in sizes:
                longer = max(window, _TURNS * connections / warm)
                measures[f"{precision} {connections}"] = _http(url, body, connections, longer)
                if swept and precision == "fp32" and name in IN_MEMORY:
                    flying = ["--in-flight", str(connections)]
                    batch = int(_limit(command, window / 2, *flying)["batch"])
                    measures[f"in-memory {connections}"] = _of_limit(command, window, batch, *flying)
        if swept and name == "lenet":  # how much of it is the machine's and the load generator's
            bare = services.enter_context(servers.ceiling())
            measures |= {
                f"ceiling {connections}": _http(bare, body, connections, seconds) for connections in SWEEPS[name]
            }
        found = _in_turn(_neighbours(measures) if compared else measures, arguments.rounds, name)
    facts["finished"] = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    reports = {}
    if compared:
        reports["networks"] = {**facts, "ratios": _ratios(found, windows), "per_second": found}
    if swept:
        reports["sweeps"] = {**facts, **_sweep(found, "fp32 ")}
        reports["sweeps"] |= {
            kind: _sweep(found, f"{kind} ") for kind in ("ceiling", "in-memory") if f"{kind} 8" in found
        }
    return reports


def _neighbours(measures: Mapping[str, Measure]) -> dict[str, Measure]:
    """Return them with those that are compared with a limit or with int8 last, side by side: the pace changes."""
    compared = ["fp32 limit", f"fp32 {CONNECTIONS}", f"int8 {CONNECTIONS}", "int8 limit"]
    last = {what: measures[what] for what in compared if what in measures}
    return {what: measure for what, measure in measures.items() if what not in last} | last


def _in_turn(measures: dict[str, Measure], rounds: int, name: str) -> dict[str, list[float]]:
    """Return figures per second, round by round."""
    found: dict[str, list[float]] = {what: [] for what in measures}
    for number in range(rounds):
        for what in measures if number % 2 == 0 else reversed(measures):
            found[what].append(measures[what]())
            print(f"round {number + 1}: {name} {what}: {found[what][-1]:,.1f}/s", file=sys.stderr, flush=True)
    return found


def _ratios(found: Mapping[str, list[float]], precisions: Mapping[str, float]) -> dict[str, dict[str, float]]:
    http = {precision: found[f"{precision} {CONNECTIONS}"] for precision in precisions}
    ratios = {f"{one} over HTTP ÷ limit": ratio(http[one], found[f"{one} limit"]) for one in precisions}
    if "int8" in http:
        ratios["int8 ÷ fp32 over HTTP"] = ratio(http["int8"], http["fp32"])
    return {what: dataclasses.asdict(value) for what, value in ratios.items()}


def _sweep(found: Mapping[str, list[float]], kind: str) -> dict[str, Any]:
    """Return each number of connections' figures, and their share of the best one's."""
    by_connections = {
        what.removeprefix(kind): values
        for what, values in found.items()
        if what.startswith(kind) and what != f"{kind}limit"
    }
    best = max(by_connections.values(), key=median)
    shares = {key: dataclasses.asdict(ratio(values, best)) for key, values in by_connections.items()}
    return {"share_of_best": shares, "per_second": by_connections}


def _http(url: str, body: Body, connections: int, seconds: float) -> Measure:
    def measure() -> float:
        measured = drive(url, body, connections=connections, seconds=seconds)
        if measured.refused or measured.wrong or measured.broken:
            raise RuntimeError(f"{connections} connections: {measured}")
        # the device still runs the last batch, for nobody: one more answer, and it is free for what is measured next
        headers = {"Content-Type": body.content_type}
        httpx2.post(url, content=body.path.read_bytes(), headers=headers, timeout=60).raise_for_status()
        return measured.flow_per_second

    return measure


def _limit(command: Sequence[str], seconds: float, *options: str) -> dict[str, Any]:
    """Run benchmarks/limit.py in a process that ends; without a batch it looks for the best."""
    words = [*command, "--seconds", str(seconds), *options]
    finished = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return found


def _of_limit(command: Sequence[str], seconds: float, batch: int, *options: str) -> Measure:
    return lambda: float(_limit(command, seconds, "--batch", str(batch), *options)["per_second"])


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
