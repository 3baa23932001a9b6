"""What counting costs: the service as it is, without looking at the answers, and without counting at all, in turn.

    python -m benchmarks.metrics_cost [--rounds 9] [--seconds 3] [--connections 32]

Writes docs/reports/metrics-cost.json and prints the median ratios with their intervals.
"""

import argparse
import contextlib
import dataclasses
import json
import sys
import time
import urllib.request

from benchmarks import machine, servers
from benchmarks.load import ROOT, Measured, drive, sample_body
from benchmarks.ratios import ratio

REPORT = ROOT / "docs" / "reports" / "metrics-cost.json"
MIN_ROUNDS = 7
ALL, NO_QUALITY, NOTHING = "all metrics", "no quality", "nothing counted"


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--connections", type=int, default=32)
    arguments = parser.parse_args()
    if arguments.rounds < MIN_ROUNDS:
        parser.error(f"--rounds must be at least {MIN_ROUNDS}")
    measured = _measure(arguments.rounds, arguments.seconds, arguments.connections)
    speed = {name: [one.per_second for one in runs] for name, runs in measured.items()}
    ratios = {
        f"{ALL} ÷ {NOTHING}": ratio(speed[ALL], speed[NOTHING]),
        f"{ALL} ÷ {NO_QUALITY}": ratio(speed[ALL], speed[NO_QUALITY]),
    }
    report = {
        "finished": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": machine.facts(),
        "connections": arguments.connections,
        "ratios": {name: dataclasses.asdict(value) for name, value in ratios.items()},
        "rounds": {name: [dataclasses.asdict(one) for one in runs] for name, runs in measured.items()},
    }
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    for name, value in ratios.items():
        print(f"{name}: {value} in {arguments.rounds} rounds")
    print(f"all of it: {REPORT.relative_to(ROOT)}")


def _measure(rounds: int, seconds: float, connections: int) -> dict[str, list[Measured]]:
    measured: dict[str, list[Measured]] = {ALL: [], NO_QUALITY: [], NOTHING: []}
    with contextlib.ExitStack() as stack:
        urls = {
            ALL: stack.enter_context(servers.service())[0],
            NO_QUALITY: stack.enter_context(servers.service(quality=False))[0],
            NOTHING: stack.enter_context(servers.unmeasured()),
        }
        for url in urls.values():
            drive(f"{url}/v1/classify", sample_body(), connections=connections, seconds=2)
        for number in range(rounds):
            for name in urls if number % 2 == 0 else reversed(urls):
                url = f"{urls[name]}/v1/classify"
                one = drive(url, sample_body(), connections=connections, seconds=seconds)
                measured[name].append(one)
                print(f"round {number + 1}: {name}: {one.per_second:,.0f} answers/s", file=sys.stderr)
        answers = {name: _counted(url) for name, url in urls.items()}
    if answers[NOTHING] or not all((answers[ALL], answers[NO_QUALITY])):
        raise RuntimeError(f"what is compared is not what it should be: counted were {answers}")
    return measured


def _counted(url: str) -> float:
    """Return how many requests to classify a server says that it has answered."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:  # noqa: S310 (a loopback URL that we made)
        lines = answer.read().decode().splitlines()
    mine = [line for line in lines if line.startswith("classifier_http_requests_total") and '"/v1/classify"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in mine)


if __name__ == "__main__":
    main()
