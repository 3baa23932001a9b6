"""How all pictures look, and how they are written. Draws without a display (matplotlib's Agg), knows no figures."""

import os
import textwrap
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, MUTED, GRID = "#1f2933", "#6b7785", "#e3e7ec"
BLUE, ORANGE, GREEN, RED = "#2463a8", "#e07b29", "#2f8f5b", "#c23b3b"  # told apart by the colour-blind, too
DPI = 130
LETTERS = 14  # of small print in an inch
BESIDE = 0.9  # inches that are left of the axes


def figure(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches, its parts laid out so that they do not overlap."""
    found = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    found.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    FigureCanvasAgg(found)
    return found


def plain(axes: Axes, *, grid: bool = True) -> Axes:
    """Leave out what says nothing: the box, heavy ticks."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(colors=INK, labelsize=9, length=3, color=MUTED)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(color=GRID, linewidth=0.8)
    return axes


def title(axes: Axes, text: str, subtitle: str = "") -> None:
    """Put a title, and small print under it, at the left; what is too long for a line goes on in the next."""
    place = axes.get_subplotspec()
    columns = place.get_gridspec().ncols if place is not None else 1
    inches = axes.get_figure(root=True).get_figwidth() / columns - BESIDE  # type: ignore[union-attr] # it has one
    lines = textwrap.wrap(subtitle, max(20, int(inches * LETTERS)))
    axes.set_title(text, loc="left", fontsize=11, color=INK, pad=8 + 12 * len(lines), fontweight="bold")
    if lines:
        text_below = axes.text(
            0, 1.02, "\n".join(lines), transform=axes.transAxes, fontsize=8.5, color=MUTED, va="bottom"
        )
        text_below.set_in_layout(
            False
        )  # the title's distance makes room for it; its width shall take none from the axes


def save(drawn: Figure, path: Path) -> Path:
    """Write a PNG aside and rename it: it is there whole or not at all."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    drawn.savefig(aside, format="png", metadata={"Software": None})
    aside.replace(path)
    return path


def short(label: str, most: int = 18) -> str:
    """Return a label that fits beside an axis; dollar signs would be read as formulas."""
    text = label if len(label) <= most else label[: most - 1] + "…"
    return text.replace("$", r"\$")
