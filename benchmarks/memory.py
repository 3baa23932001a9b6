"""Memory of one worker over many requests: where it stands, and whether it grows.

    python -m benchmarks.memory [--requests 200000]

Writes build/memory.json and prints the figures.
"""

import argparse
import json
import sys

from benchmarks import machine, servers
from benchmarks.load import ROOT, drive, sample_body

REPORT = ROOT / "build" / "memory.json"
MIB = 2**20


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200_000)
    arguments = parser.parse_args()
    samples: list[tuple[int, int]] = []
    done = 0
    with servers.service() as (url, arbiter):
        while done < arguments.requests:
            done += drive(f"{url}/v1/classify", sample_body(), connections=32, seconds=3).answers
            samples.append((done, max(servers.worker_rss_bytes(arbiter))))
            print(f"{done:,} requests: {samples[-1][1] / MIB:.1f} MiB", file=sys.stderr)
    half = next(rss for count, rss in samples if count >= done / 2)
    end = samples[-1][1]
    REPORT.parent.mkdir(exist_ok=True)
    report = {"machine": machine.facts(), "rss_bytes_after": samples, "growth_in_second_half_bytes": end - half}
    REPORT.write_text(json.dumps(report, indent=2) + "\n")
    print(f"after {done:,} requests: {end / MIB:.1f} MiB; growth in the second half: {(end - half) / MIB:.2f} MiB")


if __name__ == "__main__":
    main()
