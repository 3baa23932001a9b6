"""The chart of several runs: a panel a figure, a bar a run, in the order of the table."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from training.measuring import canvas
from training.measuring.canvas import BLUE, GREEN, INK, MUTED, ORANGE

if TYPE_CHECKING:
    from training.compare import Row

Panel = tuple[str, str, Callable[["Row"], float], Callable[[float], str]]


def comparison(rows: Sequence["Row"], path: Path) -> Path:
    """Draw accuracy, parameters, multiply-adds, training time and latency of each run."""
    panels: list[Panel] = [
        ("Test top-1", BLUE, lambda row: row.top1, lambda value: f"{value:.1%}"),
        ("Parameters", ORANGE, lambda row: row.parameters, engineering),
        ("Multiply-adds", ORANGE, lambda row: row.multiply_adds, engineering),
        ("Training", GREEN, lambda row: row.training_s, lambda value: f"{value:,.0f} s"),
    ]
    panels += [
        (f"Batch of {latency.batch}", GREEN, _latency_of(index), lambda value: f"{value:,.2f} ms")
        for index, latency in enumerate(rows[0].latencies)
    ]
    drawn = canvas.figure(2.6 + 2.1 * len(panels), 1.2 + 0.42 * max(2, len(rows)))
    places = list(range(len(rows)))[::-1]  # the first at the top
    for axes, (name, colour, value_of, text_of) in zip(
        drawn.subplots(1, len(panels), sharey=True), panels, strict=True
    ):
        values = [value_of(row) for row in rows]
        canvas.plain(axes, grid=False)
        axes.barh(places, values, color=colour, height=0.62)
        axes.set_xlim(0, max([*values, 1e-9]) * 1.55)  # room for the figure beside the longest bar
        for place, value in zip(places, values, strict=True):
            axes.annotate(
                text_of(value),
                (value, place),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8.5,
                color=INK,
            )
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        axes.set_yticks(places, [canvas.short(row.run, 28) for row in rows], fontsize=9)
        axes.tick_params(axis="y", length=0)
        axes.set_title(name, loc="left", fontsize=9.5, color=INK, fontweight="bold")
    note = f"{rows[0].images} test images of {rows[0].dataset}; latency in ONNX Runtime on a CPU"
    drawn.supxlabel(note, x=0.995, ha="right", fontsize=8, color=MUTED)
    return canvas.save(drawn, path)


def _latency_of(index: int) -> Callable[["Row"], float]:
    return lambda row: row.latencies[index].median_ms


def engineering(value: float) -> str:
    """Return a large number in three digits and a unit: 1.18M."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.0f}"
