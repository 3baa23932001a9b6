"""What the speed of networks over HTTP must be, beside what was measured."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from benchmarks.ratios import Ratio

LIMIT_SHARE = 0.95  # of fp32 over HTTP, at 32 connections
INT8_GAIN = {"alexnet": 1.8, "vgg16": 3.0}  # over HTTP, on a CPU with VNNI
BEST_SHARE = 0.9  # of the best number of connections, for each other


class Verdict(NamedTuple):
    """One figure; without *least* it is only shown."""

    network: str
    what: str
    found: Ratio
    least: float | None

    @property
    def short(self) -> bool:
        """Whether it is less than it must be."""
        return self.least is not None and self.found.median < self.least

    def __str__(self) -> str:
        wanted = "" if self.least is None else f"at least {self.least:.2f}: {'SHORT' if self.short else 'holds'}"
        return f"  {self.network:8} {self.what:28} {self.found!s:20} {wanted}".rstrip()


def verdicts(report: dict[str, Any]) -> Iterator[Verdict]:
    """Return a verdict on each ratio of a report of `benchmarks.photographs`."""
    for name, measured in report.get("networks", {}).items():
        for what, found in measured["ratios"].items():
            yield Verdict(name, what, Ratio(**found), _least(name, what, measured["machine"]))
    for name, measured in report.get("sweeps", {}).items():
        for connections, found in measured["share_of_best"].items():
            yield Verdict(name, f"{connections} connections ÷ best", Ratio(**found), BEST_SHARE)
        for other, whose in (("ceiling", "the ceiling's"), ("in-memory", "the limit's, with")):  # how much is not ours
            for number, found in measured.get(other, {}).get("share_of_best", {}).items():
                yield Verdict(name, f"{whose} {number} ÷ its best", Ratio(**found), None)


def _least(name: str, what: str, machine: dict[str, Any]) -> float | None:
    if what == "fp32 over HTTP ÷ limit":
        return LIMIT_SHARE
    if what == "int8 ÷ fp32 over HTTP" and machine["avx512_vnni"]:
        return INT8_GAIN.get(name)
    return None
