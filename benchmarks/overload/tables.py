"""What was found, as tables for people."""

from typing import Any

_TOLD = ("machine", "arguments", "goals", "settings")


def table(kind: str, found: dict[str, Any]) -> str:
    """Return the figures of one kind of run, and what they should be."""
    met = {True: "", False: "SHORT"}
    rows = [[goal["what"], goal["found"], goal["relation"], goal["limit"], met[goal["met"]]] for goal in found["goals"]]
    reached = _grid([kind, "found", "", "goal", ""], [[str(cell) for cell in row] for row in rows])
    settings = ", ".join(f"{name}={value}" for name, value in found["settings"].items())
    return f"{_figures(kind, found)}\n{reached}\nwith {settings}\n"


def _figures(kind: str, found: dict[str, Any]) -> str:
    if kind == "surge":
        return _surge(found)
    if kind in ("slow", "greedy"):
        rows = [[name, *_step(found[name])] for name in ("alone", "beside")]
        return f"{_grid(['polite client', *_STEP], rows)}\nhostile: {found['hostile']}\n"
    return "\n".join(f"{name}: {value}" for name, value in found.items() if name not in _TOLD) + "\n"


_STEP = ("offered/s", "good/s", "success", "wrong", "p50 ms", "p99 ms", "codes")


def _step(step: dict[str, Any]) -> list[str]:
    good = step["good_ms"] or {"p50": "–", "p99": "–"}
    codes = " ".join(f"{code}: {count}" for code, count in step["codes"].items()) or "–"
    figures = (
        step["offered_per_s"],
        step["good_per_s"],
        step["success"],
        step["wrong"],
        good["p50"],
        good["p99"],
        codes,
    )
    return [str(figure) for figure in figures]


def _surge(found: dict[str, Any]) -> str:
    head = ["load", *_STEP, "of peak", "p99 ÷ at 0.9", "refusal p50", "p99", "recovered s", "left queued", "in vain"]
    rows = [[name, *_step(found[name]), *[""] * 7] for name in ("at 0.5", "at 0.9")]
    for name, step in found["overload"].items():
        refused = step["refused_ms"] or {"p50": "–", "p99": "–"}
        extra = (
            step["goodput"],
            step["good_p99_ratio"],
            refused["p50"],
            refused["p99"],
            step["recovery_s"],
            step["left_in_queue"],
            step["run_in_vain"],
        )
        rows.append([name, *_step(step), *map(str, extra)])
    return f"peak: {found['peak_per_s']} answers/s\n{_grid(head, rows)}\n"


def _grid(head: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]
    )
