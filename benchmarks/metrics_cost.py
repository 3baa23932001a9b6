"""What counting costs: the service as it is, without looking at the answers, and without counting at all, in turn.

    python -m benchmarks.metrics_cost [--rounds 41] [--seconds 1] [--connections 32]

Writes docs/reports/metrics-cost.json and prints the median ratios with their intervals: of answers per second, and of
answers per second of the worker's processor time, which other programs on the machine disturb less. The exit status is
1 when one of the two says that all metrics together cost more than 10%.
"""

import argparse
import contextlib
import dataclasses
import json
import sys
import time
import urllib.request
from collections.abc import Mapping

from benchmarks import machine, servers
from benchmarks.load import ROOT, Measured, drive, sample_body
from benchmarks.ratios import Ratio, ratio

REPORT = ROOT / "docs" / "reports" / "metrics-cost.json"
MIN_ROUNDS = 7
ALL, NO_QUALITY, NOTHING = "all metrics", "no quality", "nothing counted"
COMPARED = ((ALL, NOTHING), (ALL, NO_QUALITY))
LEAST = 0.9  # of what a service answers that counts nothing


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """What wrk measured, and the processor time that the worker took for it."""

    load: Measured
    cpu_s: float

    @property
    def per_cpu_second(self) -> float:
        """Answers with 2xx per second of the worker's processor time."""
        return (self.load.answers - self.load.refused) / self.cpu_s


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--connections", type=int, default=32)
    arguments = parser.parse_args()
    if arguments.rounds < MIN_ROUNDS:
        parser.error(f"--rounds must be at least {MIN_ROUNDS}")
    facts = machine.facts()  # of what is measured, whatever is changed meanwhile
    runs = _measure(arguments.rounds, arguments.seconds, arguments.connections)
    figures = {
        "answers per second": {name: [one.load.per_second for one in of] for name, of in runs.items()},
        "answers per processor second": {name: [one.per_cpu_second for one in of] for name, of in runs.items()},
    }
    ratios = {
        f"{what}, {ours} ÷ {theirs}": ratio(values[ours], values[theirs])
        for what, values in figures.items()
        for ours, theirs in COMPARED
    }
    verdicts = judged(ratios)
    report = {
        "finished": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "commit": facts["commit"],
        "dirty": str(facts["commit"]).endswith("-dirty"),
        "machine": facts,
        "connections": arguments.connections,
        "least": LEAST,
        "passed": verdicts,
        "ratios": {name: dataclasses.asdict(value) for name, value in ratios.items()},
        "rounds": {name: [dataclasses.asdict(one) for one in of] for name, of in runs.items()},
    }
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    for name, value in ratios.items():
        asked = f", at least {LEAST:.2f}: {'pass' if verdicts[name] else 'FAIL'}" if name in verdicts else ""
        print(f"{name}: {value} in {arguments.rounds} rounds{asked}")
    print(f"all of it: {REPORT.relative_to(ROOT)}")
    if not all(verdicts.values()):
        sys.exit(1)


def judged(ratios: Mapping[str, Ratio]) -> dict[str, bool]:
    """Tell of each figure whether all metrics together cost no more than 10%, by the median."""
    return {name: value.median >= LEAST for name, value in ratios.items() if name.endswith(f"{ALL} ÷ {NOTHING}")}


def _measure(rounds: int, seconds: float, connections: int) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {ALL: [], NO_QUALITY: [], NOTHING: []}
    with contextlib.ExitStack() as stack:
        targets = {
            ALL: stack.enter_context(servers.service()),
            NO_QUALITY: stack.enter_context(servers.service(quality=False)),
            NOTHING: stack.enter_context(servers.unmeasured()),
        }
        for url, _ in targets.values():
            drive(f"{url}/v1/classify", sample_body(), connections=connections, seconds=2)
        for number in range(rounds):
            for name in targets if number % 2 == 0 else reversed(targets):
                url, pid = targets[name]
                before = servers.worker_cpu_s(pid)
                load = drive(f"{url}/v1/classify", sample_body(), connections=connections, seconds=seconds)
                runs[name].append(Run(load, servers.worker_cpu_s(pid) - before))
                print(f"round {number + 1}: {name}: {load.per_second:,.0f} answers/s", file=sys.stderr)
        counted = {name: _counted(url) for name, (url, _) in targets.items()}
    if counted[NOTHING] or not all((counted[ALL], counted[NO_QUALITY])):
        raise RuntimeError(f"what is compared is not what it should be: counted were {counted}")
    return runs


def _counted(url: str) -> float:
    """Return how many requests to classify a server says that it has answered."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:  # noqa: S310 (a loopback URL that we made)
        lines = answer.read().decode().splitlines()
    mine = [line for line in lines if line.startswith("classifier_http_requests_total") and '"/v1/classify"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in mine)


if __name__ == "__main__":
    main()
