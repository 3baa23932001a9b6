"""The models: which versions are served and where they run, and how versions of one model compare."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.dashboards.expressions import mean, quantile, rate, selector, total
from deploy.dashboards.panels import line, of, rows
from service.families import (
    AGREED,
    BATCH_SIZE,
    COMPARED,
    DIVERGENCE,
    IMAGES,
    MODEL_INFO,
    MODEL_LOADS,
    QUEUE_DEPTH,
    SKIPPED,
    TRIAL_DURATION,
    TRIAL_ERRORS,
    TRIAL_IMAGES,
    TRIAL_REQUESTS,
)

_LEGEND = "{{model}} {{version}}"
_OF_VERSION = ("model", "version")
_IN_ROLE = (*_OF_VERSION, "role")


def build() -> Dashboard:
    """Return the dashboard."""
    return of(
        "models",
        "ConvServe · models",
        "Which versions are served, where they run, and how they compare.",
        [("Served", _served()), ("Versions", _versions()), ("Canary and shadow against active", _trials())],
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


def _trials() -> list[object]:
    legend = "{{model}} {{version}} {{role}}"
    p99 = quantile(0.99, TRIAL_DURATION, by=_IN_ROLE)
    errors = f"{rate(TRIAL_ERRORS, by=_IN_ROLE)} / ({rate(TRIAL_IMAGES, by=_IN_ROLE)} > 0)"
    agreement = f"{rate(AGREED, by=_IN_ROLE)} / ({rate(COMPARED, by=_IN_ROLE)} > 0)"
    divergence = f"{rate(DIVERGENCE, by=_IN_ROLE)} / ({rate(COMPARED, by=_IN_ROLE)} > 0)"
    return [
        line("Requests", "By the role that answered.", [(rate(TRIAL_REQUESTS, by=_IN_ROLE), legend)], unit="reqps"),
        line("p99", "Admission to answer.", [(p99, legend)], unit="s"),
        line("Failed", "Images whose inference failed.", [(errors, legend)], unit="percentunit"),
        line(
            "Agreement", "Compared images with the same class first.", [(agreement, legend)], unit="percentunit", top=1
        ),
        line("Divergence", "Mean KL from the active version, in nats.", [(divergence, legend)], unit="none"),
        line("Not compared", "The device was never idle.", [(rate(SKIPPED, by=_IN_ROLE), legend)], unit="ops"),
    ]
