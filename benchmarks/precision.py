"""What fewer bits are worth: the precisions of a model in ONNX Runtime on the same cores, in turn, in one run.

    python -m benchmarks.precision [alexnet vgg16] [--store build/full-size] [--batch 8] [--rounds 7]

Measures what the store has, with the session that the service runs; the full-size networks are made first where they
are missing. Writes docs/reports/precision.json, with the ladder of each: what was admitted, and by what figures.
"""

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import full_size, machine
from benchmarks.load import ROOT
from benchmarks.ratios import Ratio, ratio
from models.preprocess import DecodeLimits, preprocess
from models.store import ModelStore, Precision
from service import session

REPORT = ROOT / "docs" / "reports" / "precision.json"
WANTED = {"alexnet": 1.5, "vgg16": 3.0}  # int8 ÷ fp32 on a CPU with VNNI


def main() -> None:
    """Measure and report; exit code 1 where a CPU with VNNI does not gain what it should."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(WANTED))
    parser.add_argument("--store", type=Path, default=full_size.STORE)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    full_size.make(arguments.store, [name for name in arguments.models if name in WANTED])
    facts = machine.facts()
    report: dict[str, Any] = {"machine": facts, "batch": arguments.batch, "models": {}}
    short = []
    for name in arguments.models:
        store = ModelStore(arguments.store)
        version = store.versions(name)[-1]
        ladder = store.manifest(name, version).ladder
        figures, gains = compare(store, name, arguments.batch, arguments.rounds)
        report["models"][name] = {
            "version": version,
            "ladder": {precision: rung.model_dump(mode="json") for precision, rung in ladder.items()},
            "images_per_second": figures,
            "over_fp32": {precision: dataclasses.asdict(gain) for precision, gain in gains.items()},
        }
        for precision, gain in gains.items():
            print(f"{name}: {precision} ÷ fp32 {gain}, {median(figures[precision]):.1f} images/s")
            if precision == "int8" and facts["avx512_vnni"] and gain.median < WANTED.get(name, 0):
                short.append(f"{name}: int8 gains {gain.median:.2f}, not {WANTED[name]}")
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    print(f"all of it: {REPORT.relative_to(ROOT)}")
    if short:
        sys.exit("; ".join(short))


def compare(
    store: ModelStore, name: str, batch: int, rounds: int
) -> tuple[dict[Precision, list[float]], Mapping[Precision, Ratio]]:
    """Return images a second of each admitted precision, round by round, and its ratio to fp32's.

    fp16 is left out: a CPU computes it in fp32.
    """
    version = store.versions(name)[-1]
    ladder = store.manifest(name, version).ladder
    precisions: list[Precision] = [p for p, rung in ladder.items() if rung.admitted and p != "fp16"]
    if refused := {p: rung.reason for p, rung in ladder.items() if not rung.admitted}:
        print(f"{name}: refused: {refused}", file=sys.stderr)
    files = {precision: store.read(name, version, precision) for precision in precisions}
    sessions = {
        precision: session.load(file, "cpu", int(machine.facts()["cores"])) for precision, file in files.items()
    }
    geometry = sessions["fp32"].spec.geometry
    golden = [preprocess(data, geometry, DecodeLimits()) for data in files["fp32"].golden.files]
    images = np.stack([golden[index % len(golden)] for index in range(batch)])
    for one in sessions.values():
        one.run(images)
    speed: dict[Precision, list[float]] = {precision: [] for precision in precisions}
    for number in range(rounds):
        for precision in precisions if number % 2 == 0 else reversed(precisions):
            speed[precision].append(_images_per_second(sessions[precision], images))
    gains: dict[Precision, Ratio] = {
        precision: ratio(speed[precision], speed["fp32"]) for precision in precisions if precision != "fp32"
    }
    return speed, gains


def _images_per_second(one: session.Session, images: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> float:
    """Run batches for at least a second."""
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < 1 or count == 0:
        one.run(images)
        count += len(images)
    return count / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
