"""The service as its clients meet it: rate, errors, duration; where the time goes; queue, batches, refusals."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.dashboards.expressions import mean, quantile, rate, total
from deploy.dashboards.panels import figure, heat, line, of
from service.families import (
    BATCH_SIZE,
    CACHE,
    CANCELLED,
    DISPATCHES,
    DURATION,
    IMAGES,
    IN_FLIGHT,
    INTERNAL_ERRORS,
    QUEUE_DEPTH,
    READY,
    REJECTED,
    REQUESTS,
    STAGE,
    STAGES,
)

# what monitoring asks for is not what clients ask for
CLIENTS = "!~/livez|/readyz|/metrics|/v2/health/.*"
OBJECTIVE_S = 0.25  # of the 99th percentile; deploy/prometheus/alerts.yaml has it too
BUDGET = 0.001  # of requests may fail: an objective of 99.9%
_FAILED = f"({rate(REQUESTS, route=CLIENTS, code='~5..')} or vector(0))"


def build() -> Dashboard:
    """Return the dashboard."""
    return of(
        "service",
        "ConvServe · service",
        "Rate, errors, duration; where the time goes; queue, batches, refusals.",
        [
            ("At a glance", _glance()),
            ("Requests", _requests()),
            ("Where the time goes", _stages()),
            ("Queue and batches", _batches()),
            ("Refused, failed, abandoned, cached", _refusals()),
        ],
    )


def _glance() -> list[object]:
    bad = ((None, "green"), (BUDGET, "orange"), (10 * BUDGET, "red"))
    slow = ((None, "green"), (OBJECTIVE_S, "red"))
    ready = ((None, "red"), (1, "green"))
    return [
        figure("Ready instances", "Instances of which every worker is ready.", total(READY), unit="none", steps=ready),
        figure("Requests per second", "Of clients.", rate(REQUESTS, route=CLIENTS), unit="reqps"),
        figure("Images per second", "Classified.", rate(IMAGES), unit="ops"),
        figure(
            "Failed", "Answers with 5xx.", f"{_FAILED} / {rate(REQUESTS, route=CLIENTS)}", unit="percentunit", steps=bad
        ),
        figure(
            "p99", "From headers read to answer sent.", quantile(0.99, DURATION, route=CLIENTS), unit="s", steps=slow
        ),
        figure("In flight", "Requests being answered.", total(IN_FLIGHT), unit="none"),
    ]


def _requests() -> list[object]:
    by_route = f"{rate(REQUESTS, by=('route',), route=CLIENTS)} > 0"  # most routes are never asked for
    quantiles = [(quantile(q, DURATION, route=CLIENTS), f"p{100 * q:g}") for q in (0.5, 0.9, 0.99)]
    return [
        line("Rate", "Requests per second by route.", [(by_route, "{{route}}")], unit="reqps"),
        line("Answers", "By status code.", [(rate(REQUESTS, by=("code",), route=CLIENTS), "{{code}}")], unit="reqps"),
        line("Duration", "From headers read to answer sent.", quantiles, unit="s"),
    ]


def _stages() -> list[object]:
    stacked = [(mean(STAGE, by=("stage",), stage=stage), stage) for stage in STAGES]
    worst = [(quantile(0.99, STAGE, by=("stage",)), "{{stage}}")]
    buckets = rate(DURATION, by=("le",), part="bucket", route=CLIENTS)
    return [
        line("Mean time of a request, by stage", "All stages on top of each other.", stacked, unit="s", stacked=True),
        line("p99 of each stage", "The slowest hundredth, stage by stage.", worst, unit="s"),
        heat("Durations", "How many requests took how long.", buckets, unit="s"),
    ]


def _batches() -> list[object]:
    waits = [(quantile(q, STAGE, stage="queue"), f"p{100 * q:g}") for q in (0.5, 0.9, 0.99)]
    of_model = ("model", "version")
    return [
        line(
            "Queue",
            "Images admitted and not yet running.",
            [(total(QUEUE_DEPTH, by=of_model), "{{model}} {{version}}")],
            unit="none",
        ),
        line("Wait in the queue", "Per request.", waits, unit="s"),
        line("Images in a run", "Mean.", [(mean(BATCH_SIZE, by=of_model), "{{model}} {{version}}")], unit="none"),
        line(
            "Runs per second",
            "Batches that the device was given, by why it was then.",
            [(rate(DISPATCHES, by=("reason",)), "{{reason}}")],
            unit="ops",
            span=12,
        ),
        heat(
            "Batch sizes",
            "How many runs had how many images.",
            rate(BATCH_SIZE, by=("le",), part="bucket"),
            unit="none",
            span=12,
        ),
    ]


def _refusals() -> list[object]:
    return [
        line(
            "Refused",
            "Requests or images, by reason; no data is no refusal.",
            [(f"{rate(REJECTED, by=('reason',))} > 0", "{{reason}}")],
            unit="ops",
            span=6,
        ),
        line(
            "Failed",
            "By stage; not the client's fault.",
            [(rate(INTERNAL_ERRORS, by=("stage",)), "{{stage}}")],
            unit="ops",
            span=6,
        ),
        line(
            "Result cache",
            "Images that were looked for in it; needs CONVSERVE_CACHE_ENTRIES.",
            [(rate(CACHE, by=("result",)), "{{result}}")],
            unit="ops",
            span=6,
        ),
        line(
            "Abandoned",
            "The client hung up, by stage.",
            [(rate(CANCELLED, by=("stage",)), "{{stage}}")],
            unit="ops",
            span=6,
        ),
    ]
