"""The models: which versions are served and where they run, and how versions of one model compare."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.dashboards.expressions import mean, rate, selector, total
from deploy.dashboards.panels import line, of, rows
from service.families import BATCH_SIZE, IMAGES, MODEL_INFO, MODEL_LOADS, QUEUE_DEPTH

_LEGEND = "{{model}} {{version}}"
_OF_VERSION = ("model", "version")


def build() -> Dashboard:
    """Return the dashboard."""
    return of(
        "models",
        "ConvServe · models",
        "Which versions are served, where they run, and how they compare.",
        [("Served", _served()), ("Versions", _versions())],
    )


def _served() -> list[object]:
    columns = ("model", "version", "precision", "provider", "instance", "sha256")
    loads = rate(MODEL_LOADS, by=("model", "outcome"))
    return [
        rows("Served models", "One row for each instance.", f"{selector(MODEL_INFO)} > 0", columns, span=16),
        line("Loads", "Versions that were loaded or refused.", [(loads, "{{model}} {{outcome}}")], unit="ops"),
    ]


def _versions() -> list[object]:
    share = f"{rate(IMAGES, by=_OF_VERSION)} / on (model) group_left () {rate(IMAGES, by=('model',))}"
    return [
        line("Images per second", "By version.", [(rate(IMAGES, by=_OF_VERSION), _LEGEND)], unit="ops"),
        line("Share of a version", "Of the images of its model.", [(share, _LEGEND)], unit="percentunit", top=1),
        line("Images in a run", "Mean, by version.", [(mean(BATCH_SIZE, by=_OF_VERSION), _LEGEND)], unit="none"),
        line(
            "Queue",
            "Images waiting, by version.",
            [(total(QUEUE_DEPTH, by=_OF_VERSION), _LEGEND)],
            unit="none",
            span=24,
        ),
    ]
