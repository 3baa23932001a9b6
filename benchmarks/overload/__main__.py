"""The service under more load than it can take, and beside clients that mean ill.

    python -m benchmarks.overload [all surge greedy slow restarts mixed names] [--model alexnet] [--seconds 20]

The server runs on one core and the generator on another; nothing is retried, every request counted, every answer
checked. Writes build/overload.json, where other kinds that stand there stay, prints tables, and fails when a figure is
short of its goal. All of it takes about 25 minutes.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import full_size, machine
from benchmarks.load import ROOT
from benchmarks.overload import endurance, hostile, openloop, restarts, surge, tables
from benchmarks.overload.goals import goals
from benchmarks.overload.site import SETTINGS, SHIPPED, Target, digits, photos, serving

REPORT = ROOT / "build" / "overload.json"
ON_DIGITS = ("slow", "restarts", "mixed", "names")  # about the way of a request, not about the work
KINDS = ("surge", "greedy", *ON_DIGITS)
PLACES = ("store", "report")  # arguments that say nothing of what was measured


def main() -> None:
    """Measure and report."""
    arguments = parsed(sys.argv[1:])
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    short = [kind for kind in arguments.kinds if not _shown(kind, arguments)]
    print(f"all of it: {arguments.report}")
    sys.exit(f"short of its goals: {', '.join(short)}" if short else 0)


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """Return what is to be measured: without kinds, every kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", default="all", choices=(*KINDS, "all"))
    parser.add_argument("--model", default="alexnet", choices=("alexnet", "lenet"), help="of the surge")
    parser.add_argument("--store", type=Path, default=full_size.STORE, help="where the full-size model is or is put")
    parser.add_argument("--seconds", type=float, default=20, help="of each step")
    parser.add_argument("--rounds", type=int, default=3, help="of what is compared, one after the other")
    parser.add_argument("--requests", type=int, default=200_000, help="of the mixed run; half of them for the others")
    parser.add_argument("--max-queue-ms", type=float, default=250, help="the estimated wait that the surge allows")
    parser.add_argument("--report", type=Path, default=REPORT)
    arguments = parser.parse_args(words)
    if "all" in arguments.kinds:
        arguments.kinds = list(KINDS)
    return arguments


def _shown(kind: str, arguments: argparse.Namespace) -> bool:
    """Measure one kind, put it into the report beside the others, and tell whether it has reached its goals."""
    print(f"{kind} …", file=sys.stderr, flush=True)
    report: Path = arguments.report
    how = {"machine": machine.facts(), "arguments": {k: str(v) for k, v in vars(arguments).items() if k not in PLACES}}
    found = how | _measure(kind, arguments)
    reached = goals(kind, found, arguments.requests)
    found["goals"] = [{**goal._asdict(), "met": goal.met} for goal in reached]
    print(tables.table(kind, found), flush=True)
    report.parent.mkdir(exist_ok=True)
    others: dict[str, Any] = json.loads(report.read_text()) if report.exists() else {}
    report.with_suffix(".new").write_text(json.dumps(others | {kind: found}, indent=2) + "\n")
    report.with_suffix(".new").rename(report)
    return all(goal.met for goal in reached)


def _measure(kind: str, arguments: argparse.Namespace) -> dict[str, Any]:
    heavy = arguments.model == "alexnet" and kind not in ON_DIGITS
    store, model = (arguments.store, "alexnet") if heavy else (SHIPPED, "lenet")
    images = photos(store) if heavy else digits()
    settings: dict[str, float] = {
        "surge": {"max_queue_ms": arguments.max_queue_ms},
        "restarts": {"drain_delay_s": 1},
        "names": {"feedback": 1},
    }.get(kind, {})
    with serving(store, model, images, **settings) as target:
        found = asyncio.run(_run(kind, target, arguments, store))
        return {"model": model, "settings": SETTINGS | settings, "images": len(target.images), **found}


async def _run(kind: str, target: Target, arguments: argparse.Namespace, store: Path) -> dict[str, Any]:
    seconds, requests = arguments.seconds, arguments.requests
    if kind == "surge":
        return await surge.measure(target, seconds=seconds, rounds=arguments.rounds)
    if kind in ("slow", "greedy"):
        # beside a greedy client nobody gets full batches: what one may ask for is reckoned of two at a time
        greedy = kind == "greedy"
        peak = await _peak(target, connections=2 if greedy else 16)
        with tempfile.NamedTemporaryFile(suffix=".image") as body:
            body.write(target.images[0])
            body.flush()
            rate = peak * (0.25 if greedy else 0.3)  # the first is half of its share
            return await hostile.beside(
                target, kind, rate=rate, seconds=seconds, rounds=arguments.rounds, body=Path(body.name)
            )
    if kind == "restarts":
        return await restarts.restarts(target, store, cycles=10, requests=requests // 2, rate=700)
    if kind == "mixed":
        return await endurance.mixed(target, requests=requests, rate=1_500)
    return await endurance.names(target, requests=requests // 2)


async def _peak(target: Target, connections: int) -> float:
    clients = target.clients()
    peak = await openloop.closed(clients, target.requests(), connections=connections, seconds=5)
    for client in clients:
        client.close()
    return peak


if __name__ == "__main__":
    main()
