"""The service against stock BentoML and against the ceiling: in turn, several rounds, one run.

    python -m benchmarks.bench [--rounds 11] [--seconds 2] [--connections 32]

Writes build/bench.json and prints median ratios; exit code 1 where one is not what is wanted. With --readme the figures
are put into the README, and the report into docs/reports.
"""

import argparse
import contextlib
import dataclasses
import json
import re
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import machine, servers
from benchmarks.load import ROOT, Body, Measured, drive, form_body, sample_body
from benchmarks.ratios import Ratio, ratio

REPORT = ROOT / "build" / "bench.json"
KEPT = ROOT / "docs" / "reports" / "bench.json"
WANTED = {"service ÷ stock BentoML": 8.0, "service ÷ ceiling": 0.75, "2 workers ÷ 1": 1.3}
START, END = "<!-- bench: written by `make bench` -->\n", "<!-- /bench -->"
MOST_TAIL = 4.0  # p99 ÷ p50


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--readme", action="store_true", help="put the figures into the README")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        body = sample_body()
        form = form_body(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        targets: dict[str, tuple[str, Body]] = {
            "service": (stack.enter_context(servers.service())[0] + "/v1/classify", body),
            "service, 2 workers": (stack.enter_context(servers.service(workers=2))[0] + "/v1/classify", body),
            "ceiling": (stack.enter_context(servers.ceiling()) + "/", body),
            "stock BentoML": (stack.enter_context(servers.stock()) + "/classify", form),
        }
        rounds = _measure(targets, arguments.rounds, arguments.seconds, arguments.connections)
    _report(rounds, arguments)


def _measure(
    targets: dict[str, tuple[str, Body]], rounds: int, seconds: float, connections: int
) -> dict[str, list[Measured]]:
    for url, body in targets.values():  # warm: code paths, allocators, BentoML's batching model
        drive(url, body, connections=connections, seconds=2)
    measured: dict[str, list[Measured]] = {name: [] for name in targets}
    for number in range(rounds):
        order = list(targets.items())
        for name, (url, body) in order if number % 2 == 0 else reversed(order):
            measured[name].append(drive(url, body, connections=connections, seconds=seconds))
            print(f"round {number + 1}: {name}: {measured[name][-1].per_second:,.0f} answers/s", file=sys.stderr)
    return measured


def _report(measured: dict[str, list[Measured]], arguments: argparse.Namespace) -> None:
    speed = {name: [one.per_second for one in runs] for name, runs in measured.items()}
    ours = measured["service"]
    ratios = {
        "service ÷ stock BentoML": ratio(speed["service"], speed["stock BentoML"]),
        "service ÷ ceiling": ratio(speed["service"], speed["ceiling"]),
        "2 workers ÷ 1": ratio(speed["service, 2 workers"], speed["service"]),
    }
    tails = {name: median(one.p99_ms / one.p50_ms for one in runs) for name, runs in measured.items()}
    report = {
        "machine": machine.facts(),
        "settings": vars(arguments),
        "ratios": {name: dataclasses.asdict(value) for name, value in ratios.items()},
        "p99_over_p50": tails,
        "rounds": {name: [dataclasses.asdict(one) for one in runs] for name, runs in measured.items()},
    }
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=2) + "\n")
    print(
        f"{arguments.connections} connections, {arguments.rounds} rounds of {arguments.seconds:g} s; median [interval]"
    )
    for name, value in ratios.items():
        print(f"  {name:28} {value}")
    print(f"  {'p99 ÷ p50 of the service':28} {tails['service']:.2f}")
    failed, answers = sum(one.refused + one.broken for one in ours), sum(one.answers for one in ours)
    wrong, checked = sum(one.wrong for one in ours), sum(one.checked for one in ours)
    print(f"  the service: {failed} not 2xx of {answers:,}, {wrong} wrong of {checked} checked")
    print(f"  all of it: {REPORT.relative_to(ROOT)}")
    if arguments.readme:
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        KEPT.write_text(REPORT.read_text())
        readme = ROOT / "README.md"
        readme.write_text(
            re.sub(f"(?s){START}.*{END}", lambda _: f"{START}{readme_block(report)}{END}", readme.read_text())
        )
    short = [
        f"{name} {ratios[name].median:.3f}, not {least}"
        for name, least in WANTED.items()
        if ratios[name].median < least
    ]
    if tails["service"] > MOST_TAIL:
        short.append(f"p99 ÷ p50 {tails['service']:.2f}, more than {MOST_TAIL:g}")
    if failed or wrong:
        short.append(f"{failed} answers not 2xx, {wrong} wrong")
    if short:
        sys.exit("; ".join(short))


def readme_block(report: dict[str, Any]) -> str:
    """Return what the README says of a report."""
    facts, settings = report["machine"], report["settings"]
    rows = "".join(f"| {name} | {Ratio(**value)} |\n" for name, value in report["ratios"].items())
    return (
        f"LeNet, one PNG a request, {settings['connections']} connections, everything on, "
        f"{facts['cores']} cores of {facts['processor']}, {settings['rounds']} alternating rounds:\n\n"
        f"| ratio of answers per second | median [interval] |\n|---|---|\n{rows}"
        f"| p99 ÷ p50 of the service | {report['p99_over_p50']['service']:.2f} |\n\n"
        "The ceiling is the least code that does the same work on bare uvicorn "
        "([benchmarks/ceiling.py](benchmarks/ceiling.py)).\n"
    )


if __name__ == "__main__":
    main()
