"""Draws a dashboard from its JSON with the data of a Prometheus: what is asked, and where it stands."""

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from deploy.dashboards.panels import WIDTH
from tests.deploy.expressions import VARIABLES
from tests.deploy.prometheus import INTERVAL_S, Prometheus

_UNIT_IN = 0.7, 0.38  # of Grafana's grid, in inches
_GAP_IN = 0.55  # of titles and axes
_INK, _QUIET = "#1f2330", "#687083"
_SERIES = 10  # in a legend
_HEADROOM = 1.3  # above the highest value, for the legend
Panel = Mapping[str, Any]


def draw(content: Panel, prometheus: Prometheus, seconds: float, path: Path) -> None:
    """Write a PNG of a dashboard over the last *seconds*."""
    panels = content["panels"]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    size = WIDTH * _UNIT_IN[0], rows * _UNIT_IN[1]
    figure = Figure(figsize=size, dpi=70, facecolor="#f4f5f8")
    for panel in panels:
        at = panel["gridPos"]
        if panel["type"] == "row":
            figure.text(
                0.008, 1 - (at["y"] + 0.6) / rows, panel["title"], va="center", weight="bold", color=_INK, size=13
            )
            continue
        left, top = at["x"] * _UNIT_IN[0] + _GAP_IN, at["y"] * _UNIT_IN[1] + _GAP_IN * 0.7
        width, height = at["w"] * _UNIT_IN[0] - _GAP_IN * 1.3, at["h"] * _UNIT_IN[1] - _GAP_IN * 1.4
        place = left / size[0], 1 - (top + height) / size[1], width / size[0], height / size[1]
        axes = figure.add_axes(place)
        axes.set_title(panel["title"], loc="left", size=9, color=_INK)
        axes.tick_params(labelsize=7, colors=_QUIET)
        _KINDS[panel["type"]](axes, panel, prometheus, seconds)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def filled_in(expression: str) -> str:
    """Return an expression as Grafana would send it."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def _series(panel: Panel, prometheus: Prometheus, seconds: float) -> list[tuple[str, Any, Any]]:
    """Return name, minutes before now and values of every series of a panel."""
    now, found = time.time(), []
    span = {"start": f"{now - seconds:.0f}", "end": f"{now:.0f}", "step": str(2 * INTERVAL_S)}
    for target in panel["targets"]:
        for one in prometheus.ask("query_range", query=filled_in(target["expr"]), **span)["result"]:
            moments, values = np.array(one["values"], float).T
            found.append((_name(target.get("legendFormat", ""), one["metric"]), (moments - now) / 60, values))
    return found


def _name(legend: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), legend)


def _lines(axes: Axes, panel: Panel, prometheus: Prometheus, seconds: float) -> None:
    series = _series(panel, prometheus, seconds)
    defaults = panel["fieldConfig"]["defaults"]
    if defaults["custom"].get("stacking", {}).get("mode") == "normal" and series:
        grid = np.linspace(-seconds / 60, 0, 200)
        values = [np.nan_to_num(np.interp(grid, at, value, left=0)) for _, at, value in series]
        axes.stackplot(grid, values, labels=[name for name, _, _ in series], alpha=0.8)
    else:
        for name, at, value in series:
            axes.plot(at, value, label=name, linewidth=1.2)
    highest = max((float(np.nanmax(value, initial=0)) for _, _, value in series), default=0.0)
    if axes.collections:  # stacked: what matplotlib has found is the sum
        highest = axes.get_ylim()[1]
    axes.set_ylim(bottom=0, top=defaults.get("max") or _HEADROOM * highest or None)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(value, defaults.get("unit", "none"))))
    axes.grid(color="#e5e7ee", linewidth=0.6)
    if series:
        axes.legend(*_first(axes), fontsize=6, loc="upper left", frameon=False, ncols=2)
    else:
        axes.text(0.5, 0.5, "No data", transform=axes.transAxes, ha="center", color=_QUIET)


def _first(axes: Axes) -> tuple[list[Any], list[Any]]:
    handles, labels = axes.get_legend_handles_labels()
    return handles[:_SERIES], labels[:_SERIES]


def _figure(axes: Axes, panel: Panel, prometheus: Prometheus, seconds: float) -> None:
    series = _series(panel, prometheus, seconds)
    axes.set_axis_off()
    if not series:
        axes.text(0.5, 0.5, "No data", transform=axes.transAxes, ha="center", color=_QUIET)
        return
    _, at, values = series[0]
    colour = _INK
    for step in panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", []):
        if step["value"] is None or values[-1] >= step["value"]:
            colour = {"text": _INK}.get(step["color"], step["color"])
    axes.fill_between(at, values, color=colour, alpha=0.15)
    text = shown(values[-1], panel["fieldConfig"]["defaults"].get("unit", "none"))
    axes.text(0.5, 0.45, text, transform=axes.transAxes, ha="center", va="center", size=20, color=colour, weight="bold")


def _heat(axes: Axes, panel: Panel, prometheus: Prometheus, seconds: float) -> None:
    """Buckets are cumulative: each less the one below it."""
    series = sorted(
        ((float(name.replace("+Inf", "inf")), at, value) for name, at, value in _series(panel, prometheus, seconds)),
        key=lambda one: one[0],
    )
    counts = np.diff(np.array([value for _, _, value in series]), axis=0, prepend=0)
    axes.imshow(
        counts, origin="lower", aspect="auto", cmap="Oranges", extent=(series[0][1][0], 0, -0.5, len(series) - 0.5)
    )
    unit = panel["options"]["yAxis"].get("unit", "none")
    every = max(1, len(series) // 8)
    axes.set_yticks(range(0, len(series), every), [shown(edge, unit) for edge, _, _ in series[::every]])


def _table(axes: Axes, panel: Panel, prometheus: Prometheus, _: float) -> None:
    axes.set_axis_off()
    organised = panel["transformations"][0]["options"]
    order = sorted(organised["indexByName"], key=organised["indexByName"].__getitem__)
    columns = [name for name in order if not organised["excludeByName"].get(name)]
    cells = []
    for sample in prometheus.query(filled_in(panel["targets"][0]["expr"])):
        row = sample["metric"] | {"Value": sample["value"][1]}
        cells.append([row.get(name, "")[:26] for name in columns])
    names = [organised["renameByName"].get(name, name) for name in columns]
    made = axes.table(cells or [["No data"] + [""] * (len(names) - 1)], colLabels=names, loc="upper left", edges="B")
    made.auto_set_font_size(value=False)
    made.set_fontsize(7)


_KINDS = {"timeseries": _lines, "stat": _figure, "heatmap": _heat, "table": _table}


def shown(value: float, unit: str) -> str:
    """Return a value in its unit, about as Grafana writes it."""
    if np.isinf(value):
        return "+Inf"
    if unit == "percentunit":
        return f"{100 * value:.3g}%"
    if unit == "s":
        return _scaled(value, ((1, "s"), (1e-3, "ms"), (1e-6, "µs")))
    if unit == "bytes":
        return _scaled(value, ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B")))
    return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _scaled(value: float, scales: Sequence[tuple[float, str]]) -> str:
    for scale, name in scales:
        if abs(value) >= scale:
            return f"{value / scale:.3g} {name}"
    return "0" if value == 0 else f"{value / scales[-1][0]:.3g} {scales[-1][1]}"
