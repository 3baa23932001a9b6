"""What looking at the answers costs: the service with CONVSERVE_QUALITY and without, in turn.

    python -m benchmarks.metrics_cost [--rounds 9] [--seconds 3] [--connections 32]

Writes build/bench-metrics-cost.json and prints the median ratio with its interval.
"""

import argparse
import dataclasses
import json
import sys

from benchmarks import machine, servers
from benchmarks.load import ROOT, Measured, drive, sample_body
from benchmarks.ratios import ratio

REPORT = ROOT / "build" / "bench-metrics-cost.json"
MIN_ROUNDS = 7


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--connections", type=int, default=32)
    arguments = parser.parse_args()
    if arguments.rounds < MIN_ROUNDS:
        parser.error(f"--rounds must be at least {MIN_ROUNDS}")
    measured: dict[str, list[Measured]] = {"with": [], "without": []}
    with servers.service(quality=True) as (looking, _), servers.service(quality=False) as (plain, _):
        targets = {"with": looking, "without": plain}
        for url in targets.values():
            drive(f"{url}/v1/classify", sample_body(), connections=arguments.connections, seconds=2)
        for number in range(arguments.rounds):
            for name in ("with", "without") if number % 2 == 0 else ("without", "with"):
                one = drive(
                    f"{targets[name]}/v1/classify",
                    sample_body(),
                    connections=arguments.connections,
                    seconds=arguments.seconds,
                )
                measured[name].append(one)
                print(f"round {number + 1}: {name}: {one.per_second:,.0f} answers/s", file=sys.stderr)
    result = ratio([one.per_second for one in measured["with"]], [one.per_second for one in measured["without"]])
    report = {
        "machine": machine.facts(),
        "ratio": dataclasses.asdict(result),
        "rounds": {name: [dataclasses.asdict(one) for one in runs] for name, runs in measured.items()},
    }
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=2) + "\n")
    print(f"with ÷ without: {result} in {arguments.rounds} rounds; all of it: {REPORT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
