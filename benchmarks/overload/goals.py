"""What each kind of run must show; figures that are missing are short."""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

_COMPARED: dict[str, Callable[[float, float], bool]] = {"≥": operator.ge, "≤": operator.le, "<": operator.lt}
_GOODPUT = {"2x": 0.95, "4x": 0.90, "10x": 0.80}  # of the peak's


class Goal(NamedTuple):
    """A figure, what was found, and what it must be."""

    what: str
    found: float | None
    relation: str
    limit: float

    @property
    def met(self) -> bool:
        """Whether it is so."""
        return self.found is not None and _COMPARED[self.relation](self.found, self.limit)


def goals(kind: str, found: dict[str, Any], requests: int) -> list[Goal]:
    """Return the goals of a kind of run; *requests* were asked for."""
    return _OF_KIND[kind](found, requests)


def _surge(found: dict[str, Any], _: int) -> list[Goal]:
    steps = {name: found[name] for name in ("at 0.5", "at 0.9")} | found["overload"]
    made = [Goal("wrong answers at any load", sum(step["wrong"] for step in steps.values()), "≤", 0)]
    for name, step in found["overload"].items():
        refused = step["refused_ms"] or {}
        made += [
            Goal(f"{name}: goodput, of the peak", step["goodput"], "≥", _GOODPUT.get(name, 0.8)),
            Goal(f"{name}: p99 of good answers, of that at 0.9", step["good_p99_ratio"], "≤", 2),
            Goal(f"{name}: ms of a refusal, p50", refused.get("p50"), "<", 5),
            Goal(f"{name}: ms of a refusal, p99", refused.get("p99"), "<", 50),
            Goal(f"{name}: s until p99 is normal and nothing queued", step["recovery_s"], "≤", 5),
            Goal(f"{name}: images run for nobody", step["run_in_vain"], "≤", 0),
            Goal(f"{name}: clients who left the queue, so that it means something", step["left_in_queue"], "≥", 1),
        ]
    return made


def _beside(success: float) -> Callable[[dict[str, Any], int], list[Goal]]:
    def made(found: dict[str, Any], _: int) -> list[Goal]:
        return [
            Goal("success of the polite client", found["beside"]["success"], "≥", success),
            Goal("its p99, of that alone", found["p99_ratio"], "≤", 2),
            Goal("wrong answers", found["beside"]["wrong"], "≤", 0),
        ]

    return made


def _restarts(found: dict[str, Any], requests: int) -> list[Goal]:
    return [
        Goal("requests", found["requests"], "≥", requests // 2),
        Goal("failed", found["failed"], "≤", 0),
        Goal("restarts", found["cycles"], "≥", 10),
    ]


def _mixed(found: dict[str, Any], requests: int) -> list[Goal]:
    return [
        Goal("requests", found["requests"], "≥", requests),
        Goal("answers other than they must be", sum(found["unexpected"].values()), "≤", 0),
        Goal("MiB more in the second half", found["second_half_mib"], "≤", 5),
    ]


def _names(found: dict[str, Any], requests: int) -> list[Goal]:
    return [
        Goal("invented names", found["requests"], "≥", requests // 2),
        Goal("series more than before", found["series_after"] - found["series_before"], "≤", 0),
        Goal("series", found["series_after"], "<", 2_000),
    ]


_OF_KIND: dict[str, Callable[[dict[str, Any], int], list[Goal]]] = {
    "surge": _surge,
    "greedy": _beside(0.99),
    "slow": _beside(0.999),
    "restarts": _restarts,
    "mixed": _mixed,
    "names": _names,
}
