"""This tree against another commit of it, in turn, so that a change can be shown not to cost speed.

    python -m benchmarks.against REF [--rounds 9] [--seconds 4] [--connections 32]

Writes build/bench-against.json and prints the median ratio with its interval.
"""

import argparse
import contextlib
import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import machine, servers
from benchmarks.load import ROOT, Measured, drive, sample_body
from benchmarks.ratios import ratio

REPORT = ROOT / "build" / "bench-against.json"
MIN_ROUNDS = 7


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ref", help="a commit, branch or tag")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--connections", type=int, default=32)
    arguments = parser.parse_args()
    if arguments.rounds < MIN_ROUNDS:
        parser.error(f"--rounds must be at least {MIN_ROUNDS}")
    measured: dict[str, list[Measured]] = {"this": [], "ref": []}
    with _worktree(arguments.ref) as other, servers.service() as (mine, _), servers.service(other) as (theirs, _):
        targets = {"this": mine, "ref": theirs}
        other_commit = machine.commit(other)
        for url in targets.values():
            drive(f"{url}/v1/classify", sample_body(), connections=arguments.connections, seconds=2)
        for number in range(arguments.rounds):
            for name in ("this", "ref") if number % 2 == 0 else ("ref", "this"):
                one = drive(
                    f"{targets[name]}/v1/classify",
                    sample_body(),
                    connections=arguments.connections,
                    seconds=arguments.seconds,
                )
                measured[name].append(one)
                print(f"round {number + 1}: {name}: {one.per_second:,.0f} answers/s", file=sys.stderr)
    result = ratio([one.per_second for one in measured["this"]], [one.per_second for one in measured["ref"]])
    report = {
        "machine": machine.facts(),
        "ref": {"given": arguments.ref, "commit": other_commit},
        "ratio": dataclasses.asdict(result),
        "rounds": {name: [dataclasses.asdict(one) for one in runs] for name, runs in measured.items()},
    }
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=2) + "\n")
    print(f"this tree ÷ {arguments.ref}: {result} in {arguments.rounds} rounds; all of it: {REPORT.relative_to(ROOT)}")


@contextlib.contextmanager
def _worktree(ref: str) -> Iterator[Path]:
    """Check a commit out beside this tree for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="bench-against-") as folder:
        tree = Path(folder) / "tree"
        _git("worktree", "add", "--detach", str(tree), ref)
        try:
            yield tree
        finally:
            _git("worktree", "remove", "--force", str(tree))


def _git(*arguments: str) -> None:
    finished = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        sys.exit(f"git {arguments[0]}: {finished.stderr.strip()}")


if __name__ == "__main__":
    main()
