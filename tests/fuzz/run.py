"""A million cases: requests of every kind and damaged images over a socket, damaged images straight into the decoder.

    python -m tests.fuzz.run [--requests 300000] [--images 300000] [--decodes 400000] [--seed 1]

Writes docs/reports/fuzz.json, where kinds of which none are asked for stay as they are, and, when something is found,
the cases to build/fuzz; the exit status says so too.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from benchmarks import machine
from models.errors import ModelError
from models.preprocess import OPTIONAL_FORMATS, DecodeLimits, preprocess
from models.store import ModelStore
from service.access.keys import Key, digest_of, new_key
from service.lifecycle import Choice, Loaded, load
from service.settings import Settings
from tests.e2e.server import ROOT, Server, serving
from tests.factories import REPOSITORY, make_geometry
from tests.faults.site import rss_bytes
from tests.fuzz.drive import Tally, drive
from tests.fuzz.images import mutated

REPORT = ROOT / "docs" / "reports" / "fuzz.json"
FOUND = ROOT / "build" / "fuzz"
SLOW_S = 2.0  # for one small image, on a busy machine
_PART = 20_000


def main() -> None:
    """Run all of it and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for kind, count in (("requests", 300_000), ("images", 300_000), ("decodes", 400_000)):
        parser.add_argument(f"--{kind}", type=int, default=count)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path, default=REPORT)
    arguments = parser.parse_args()
    report: dict[str, Any] = json.loads(arguments.report.read_text()) if arguments.report.exists() else {}
    report |= {"machine": machine.facts(), "seed": arguments.seed}
    failures: list[tuple[str, bytes]] = []
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, server(Path(folder)) as (running, key):
        for kind, count in (("requests", arguments.requests), ("images", arguments.images)):
            if count:
                report[kind], found = over_a_socket(running, key, kind, count, arguments.seed)
                failures += found
    if arguments.decodes:
        report["decodes"], found = decodes(arguments.decodes, arguments.seed)
        failures += found
    report["failures"] = sum(report[kind]["failures"] for kind in ("requests", "images", "decodes") if kind in report)
    arguments.report.parent.mkdir(parents=True, exist_ok=True)
    arguments.report.write_text(json.dumps(report, indent=2) + "\n")
    FOUND.mkdir(parents=True, exist_ok=True)
    for number, (what, data) in enumerate(failures[:100]):
        (FOUND / f"{number:03}-{what}").write_bytes(data)
    print(json.dumps({name: value for name, value in report.items() if name != "machine"}, indent=2))
    sys.exit(bool(failures))


@contextlib.contextmanager
def server(folder: Path) -> Iterator[tuple[Server, str]]:
    """A server, and a key that may classify but not change what is served."""
    key = new_key()
    file = folder / "keys"
    file.write_text(Key("fuzz", "classify", digest_of(key)).line() + "\n")
    with serving(folder, keys_file=file, extra_formats="BMP,GIF", client_share=1, body_timeout_s=2) as running:
        yield running, key


def over_a_socket(
    running: Server, key: str, kind: str, count: int, seed: int
) -> tuple[dict[str, Any], list[tuple[str, bytes]]]:
    """Send cases in parts, so that one can see how far it is."""
    (worker,) = running.workers()
    total, began, before = Tally(), perf_counter(), rss_bytes(worker)
    for part in range(-(-count // _PART)):
        size = min(_PART, count - part * _PART)
        tally = asyncio.run(drive(running.port, size, seed * 1_000 + part, key, images=kind == "images"))
        total.statuses += tally.statuses
        total.failures += tally.failures
        print(f"{kind}: {total.cases:,} of {count:,}, {len(total.failures)} failures", file=sys.stderr, flush=True)
    survived = running.workers() == [worker] and "Traceback" not in running.log.read_text()
    if not survived:
        total.failures.append(("worker", running.log.read_bytes()[-100_000:]))
    return {
        "cases": total.cases,
        "seconds": round(perf_counter() - began, 1),
        "statuses": {str(status): number for status, number in sorted(total.statuses.items())},
        "failures": len(total.failures),
        "worker_grew_mib": round((rss_bytes(worker) - before) / 2**20, 1),
    }, total.failures


def decodes(count: int, seed: int) -> tuple[dict[str, Any], list[tuple[str, bytes]]]:
    """Give damaged images to the decoder, and what it makes of them to the model, without a server."""
    store = ModelStore(REPOSITORY)
    loaded: Loaded = load(store, Choice("lenet", 1), Settings(provider="cpu", threads=1))
    limits = DecodeLimits(formats=DecodeLimits().formats | OPTIONAL_FORMATS)
    geometries = (loaded.session.spec.geometry, make_geometry(mode="RGB", height=64, width=64, jpeg_draft=True))
    chance, outcomes, failures = random.Random(seed), Counter[str](), list[tuple[str, bytes]]()
    began, slowest = perf_counter(), 0.0
    for number in range(count):
        data = mutated(chance)
        started = process_time()  # not the clock's: this process may be stopped for a while
        try:
            array = preprocess(data, geometries[number % 2], limits)
            if number % 2 == 0:
                loaded.session.run(array[None])
            outcomes["decoded"] += 1
        except ModelError as error:
            outcomes[error.code] += 1
        except Exception as error:  # whatever else it is, is what is looked for
            outcomes[type(error).__name__] += 1
            failures.append((type(error).__name__, data))
        took = process_time() - started
        slowest = max(slowest, took)
        if took > SLOW_S:
            failures.append(("slow", data))
    return {
        "cases": count,
        "seconds": round(perf_counter() - began, 1),
        "outcomes": dict(outcomes.most_common()),
        "failures": len(failures),
        "slowest_ms": round(slowest * 1e3, 1),
    }, failures


if __name__ == "__main__":
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    main()
