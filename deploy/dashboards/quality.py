"""The answers: which classes, how sure, how far from the reference, how often right; and what the images look like."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.dashboards.expressions import mean, quantile, rate, selector
from deploy.dashboards.panels import figure, heat, line, of
from service.families import (
    BRIGHTNESS,
    CALIBRATION_ERROR,
    CONFIDENCE,
    DRIFT,
    ENTROPY,
    FEEDBACK,
    INPUT_PIXELS,
    MARGIN,
    PREDICTIONS,
    RECORDS_DROPPED,
    THRESHOLD,
)

_LEGEND = "{{model}} {{version}}"
_OF_VERSION = ("model", "version")
_TOLD = "Needs CONVSERVE_FEEDBACK and clients that tell."
ALIKE, ANOTHER = 0.1, 0.25  # of the population stability index; deploy/prometheus/alerts.yaml has the second too
_DRIFT = f"max by (model, version, kind) ({selector(DRIFT)})"


def build() -> Dashboard:
    """Return the dashboard."""
    return of(
        "quality",
        "ConvServe · quality",
        "Which classes are found how surely, how far that is from the reference, and how often it is right.",
        [("Answers", _answers()), ("Drift", _drift()), ("Live accuracy", _accuracy()), ("Images", _images())],
    )


def _answers() -> list[object]:
    # of the answers of all versions that are looked at, so that what is stacked is 100%
    classes = f"({rate(PREDICTIONS, by=(*_OF_VERSION, 'class'))} > 0)"
    shares = f"{classes} / on () group_left () ({rate(PREDICTIONS)} > 0)"
    spread = [(quantile(q, CONFIDENCE, by=_OF_VERSION), f"p{100 * q:g} {_LEGEND}") for q in (0.1, 0.5, 0.9)]
    buckets = rate(CONFIDENCE, by=("le",), part="bucket")
    unsure = f"{rate(THRESHOLD, by=_OF_VERSION, outcome='abstained')} / ({rate(THRESHOLD, by=_OF_VERSION)} > 0)"
    return [
        line(
            "Classes",
            "Share of the answers, of all versions together.",
            [(shares, f"{{{{class}}}} · {_LEGEND}")],
            unit="percentunit",
            span=12,
            stacked=True,
            top=1,
        ),
        heat("Confidence", "How many answers had which probability.", buckets, unit="percentunit", span=12),
        line("Confidence", "Probability of the class found.", spread, unit="percentunit", top=1, span=6),
        line(
            "Margin",
            "Mean lead over the second class.",
            [(mean(MARGIN, by=_OF_VERSION), _LEGEND)],
            unit="percentunit",
            top=1,
            span=6,
        ),
        line(
            "Entropy",
            "Mean; 1 when all classes are equally probable.",
            [(mean(ENTROPY, by=_OF_VERSION), _LEGEND)],
            unit="percentunit",
            top=1,
            span=6,
        ),
        line(
            "Abstained",
            "Share of the images that were asked for with a threshold.",
            [(unsure, _LEGEND)],
            unit="percentunit",
            top=1,
            span=6,
        ),
    ]


def _drift() -> list[object]:
    steps = ((None, "green"), (ALIKE, "orange"), (ANOTHER, "red"))
    return [
        figure(
            "Farthest from the reference",
            "Population stability index, the largest.",
            f"max({_DRIFT})",
            unit="none",
            steps=steps,
            size=(6, 8),
        ),
        line(
            "Population stability index",
            "Of classes and confidence, against the test split; above 0.25 is another.",
            [(_DRIFT, f"{{{{kind}}}} · {_LEGEND}")],
            unit="none",
            span=18,
        ),
    ]


def _accuracy() -> list[object]:
    correct = f"{rate(FEEDBACK, by=_OF_VERSION, outcome='correct')} / ({rate(FEEDBACK, by=_OF_VERSION)} > 0)"
    error = f"max by (model, version) ({selector(CALIBRATION_ERROR)})"
    told = rate(FEEDBACK, by=("outcome",))
    dropped = rate(RECORDS_DROPPED, by=("record",))
    return [
        line(
            "Correct",
            f"Of the images whose label was told. {_TOLD}",
            [(correct, _LEGEND)],
            unit="percentunit",
            top=1,
            span=6,
        ),
        line("Labels told", f"By outcome. {_TOLD}", [(told, "{{outcome}}")], unit="ops", span=6),
        line(
            "Calibration error",
            f"Mean distance of confidence from accuracy. {_TOLD}",
            [(error, _LEGEND)],
            unit="percentunit",
            span=6,
        ),
        line(
            "Records dropped",
            f"Not written, for want of time or room. {_TOLD}",
            [(dropped, "{{record}}")],
            unit="ops",
            span=6,
        ),
    ]


def _images() -> list[object]:
    sizes = [(quantile(q, INPUT_PIXELS), f"p{100 * q:g}") for q in (0.1, 0.5, 0.9)]
    return [
        line(
            "Brightness",
            "Mean; 1 is white.",
            [(mean(BRIGHTNESS, by=_OF_VERSION), _LEGEND)],
            unit="percentunit",
            top=1,
            span=12,
        ),
        line("Size", "Width × height as it came.", sizes, unit="none", span=12),
    ]
