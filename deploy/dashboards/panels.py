"""The few kinds of panels that the dashboards are made of, all with one look, and the dashboard around them."""

import itertools
import string
from collections.abc import Sequence
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.dashboards.expressions import JOB
from service.families import MODEL_INFO, READY, Family

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
WIDTH = 24  # Grafana's grid
_HEIGHT = 8
Query = tuple[str, str]  # an expression and the legend of its series
Step = tuple[float | None, str]  # from which value on, and the colour


def line(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    unit: str,
    span: int = 8,
    stacked: bool = False,
    top: float | None = None,
) -> timeseries.Panel:
    """Return lines over time, or areas on top of each other."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .height(_HEIGHT)
        .span(span)
        .fill_opacity(60 if stacked else 8)
        .line_width(1)
        .show_points(kinds.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions().display_mode(kinds.LegendDisplayMode.LIST).placement(kinds.LegendPlacement.BOTTOM)
        )
        .tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING))
    )
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL))
    if top is not None:
        panel = panel.max(top)
    for letter, (expression, legend) in zip(string.ascii_uppercase, queries, strict=False):
        panel = panel.with_target(prometheus.Dataquery().ref_id(letter).expr(expression).legend_format(legend))
    return panel


def figure(
    title: str,
    description: str,
    expression: str,
    *,
    unit: str,
    steps: Sequence[Step] = ((None, "text"),),
    size: tuple[int, int] = (4, 4),
) -> stat.Panel:
    """Return one number, its recent course behind it, coloured by the highest threshold that it reaches."""
    thresholds = dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE)
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .height(size[1])
        .span(size[0])
        .graph_mode(kinds.BigValueGraphMode.AREA)
        .thresholds(thresholds.steps([Threshold(value, color) for value, color in steps]))
        .with_target(prometheus.Dataquery().ref_id("A").expr(expression))
    )


def heat(title: str, description: str, expression: str, *, unit: str, span: int = 8) -> heatmap.Panel:
    """Return the buckets of a histogram over time; *expression* is summed by `le`."""
    return (
        heatmap.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .height(_HEIGHT)
        .span(span)
        .calculate(calculate=False)
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges"))
        .with_target(
            prometheus.Dataquery().ref_id("A").expr(expression).legend_format("{{le}}").format(PromQueryFormat.HEATMAP)
        )
    )


def rows(
    title: str,
    description: str,
    expression: str,
    columns: Sequence[str],
    *,
    span: int = WIDTH,
    value: str | None = None,
) -> table.Panel:
    """Return a table of an instant query: the labels *columns*, in order, and its values under the name *value*."""
    hidden = {"Time": True, "Value": value is None, "__name__": True, "job": True}
    organised = {
        "excludeByName": hidden,
        "indexByName": {name: index for index, name in enumerate((*columns, "Value"))},
        "renameByName": {"Value": value} if value else {},
    }
    return (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .height(_HEIGHT)
        .span(span)
        .with_transformation(DataTransformerConfig(id_val="organize", options=organised))
        .with_target(prometheus.Dataquery().ref_id("A").expr(expression).instant().format(PromQueryFormat.TABLE))
    )


def of(uid: str, title: str, description: str, groups: Sequence[tuple[str, Sequence[Any]]]) -> dashboard.Dashboard:
    """Return the dashboard of groups of panels, with the variables that every expression uses."""
    made = (
        dashboard.Dashboard(title)
        .uid(f"convserve-{uid}")
        .description(description)
        .tags(["convserve"])
        .readonly()
        .refresh("10s")
        .time("now-1h", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("ConvServe")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["convserve"])
            .as_dropdown(False)
        )
        .with_variable(dashboard.DatasourceVariable("datasource").label("data source").type("prometheus"))
        .with_variable(_choice("instance", READY))
        .with_variable(_choice("model", MODEL_INFO))
    )
    number = itertools.count(1)
    for name, panels in groups:
        made = made.with_row(dashboard.Row(name).id(next(number)))
        for panel in panels:
            made = made.with_panel(panel.id(next(number)))
    return made


def _choice(label: str, family: Family) -> dashboard.QueryVariable:
    """Return a variable of the values that a label of a family has; all of them to begin with."""
    return (
        dashboard.QueryVariable(label)
        .datasource(SOURCE)
        .query(f'label_values({family.name}{{job="{JOB}"}}, {label})')
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(VariableOption(selected=True, text="All", value="$__all"))
    )
