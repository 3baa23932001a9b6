"""From the numbers of all workers to the text that Prometheus scrapes.

prometheus_client is imported where text is made: at import time it would look for BentoML's folder of metric files,
which are not used.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate

from service.families import CALIBRATION_ERROR, DRIFT, FAMILIES, MODEL_INFO, MODEL_NODES, UNSHOWN, Family
from service.quality import calibration, drift
from service.shared_values import Series

Merged = dict[str, dict[tuple[str, ...], tuple[float, ...]]]  # by family, then by label values
BY_NAME = {family.name: family for family in (*FAMILIES, *UNSHOWN)}
_HOW: dict[str, Callable[[tuple[float, float]], float]] = {"sum": sum, "min": min, "max": max}


def text(series: Iterable[Series]) -> bytes:
    """Return the state of all workers in Prometheus' text format."""
    from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415 (see the module's text)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(merge(series)))  # type: ignore[arg-type]
    return generate_latest(registry)


def merge(series: Iterable[Series]) -> Merged:
    """Bring the series of all workers to one each; gauges of ended workers do not count."""
    merged: Merged = defaultdict(dict)
    for one in series:
        family = BY_NAME.get(one.family)
        if family is None or (family.kind == "gauge" and one.pid is None):
            continue
        of_family, how = merged[one.family], _HOW[family.merge]
        for labels, values in _spread(family, one) if family.spread else ((one.labels, one.values),):
            before = of_family.get(labels)
            if before is not None and len(before) == len(values):
                of_family[labels] = tuple(how(pair) for pair in zip(before, values, strict=True))
            else:
                of_family[labels] = values
    return merged


def _spread(family: Family, series: Series) -> Iterator[tuple[tuple[str, ...], tuple[float]]]:
    fixed = len(family.labels) - 1
    for last, value in zip(series.labels[fixed:], series.values, strict=True):
        yield (*series.labels[:fixed], last), (value,)


def outlives(name: str) -> bool:
    """Tell whether the numbers of a family count on when their worker has ended."""
    return name in BY_NAME and BY_NAME[name].kind != "gauge"


class _Collector:
    """Offers merged series to prometheus_client."""

    def __init__(self, merged: Merged) -> None:
        info = merged.get(MODEL_INFO.name, {})
        served = {labels: values for labels, values in info.items() if values[0]}
        precisions = {labels[:3] for labels in served}
        nodes = {labels: one for labels, one in merged.get(MODEL_NODES.name, {}).items() if labels[:3] in precisions}
        self._merged = merged | {
            MODEL_INFO.name: served,  # what is served no longer is not told of
            MODEL_NODES.name: nodes,
            DRIFT.name: drift.gauges(merged),
            CALIBRATION_ERROR.name: calibration.gauges(merged),
        }

    def collect(self) -> Iterator[object]:
        from prometheus_client.core import (  # noqa: PLC0415
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        for family in FAMILIES:
            series = self._merged.get(family.name, {})
            if family.kind == "histogram":
                histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
                edges = [*map(str, family.edges), "+Inf"]
                for labels, values in series.items():
                    histogram.add_metric(labels, list(zip(edges, accumulate(values[:-1]), strict=True)), values[-1])
                yield histogram
                continue
            kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
            plain = kind(family.name, family.help, labels=family.labels)
            for labels, values in series.items():
                plain.add_metric(labels, values[0])
            yield plain
