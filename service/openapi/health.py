"""The table of what probes, scrapers and people ask: health, metrics, this document, pages."""

from service.openapi.answers import Live, Ready
from service.openapi.operation import JSON, JSON_OBJECT, TEXT, Answer, Operation, Table

_ASSETS = dict.fromkeys(("text/css", "text/javascript", "image/svg+xml"), TEXT)

TABLE: Table = {
    ("GET", "/livez"): Operation(
        tag="Health",
        summary="Does the worker answer?",
        answers={200: Answer("It does.", {JSON: Live})},
    ),
    ("GET", "/readyz"): Operation(
        tag="Health",
        summary="Are requests welcome?",
        description="503 with the phase while it loads, warms up or drains.",
        answers={200: Answer("They are.", {JSON: Ready})},
        errors=("not_ready",),
    ),
    ("GET", "/metrics"): Operation(
        tag="Health",
        summary="Metrics of all workers",
        answers={200: Answer("Prometheus' text format.", {"text/plain": TEXT})},
    ),
    ("GET", "/openapi.json"): Operation(
        tag="Pages",
        summary="This document",
        answers={200: Answer("OpenAPI 3.1.", {JSON: JSON_OBJECT})},
    ),
    ("GET", "/schema.json"): Operation(
        tag="Pages",
        summary="Endpoints for BentoML's Python client",
        answers={200: Answer("In BentoML's own words.", {JSON: JSON_OBJECT})},
    ),
    ("GET", "/"): Operation(
        tag="Pages",
        summary="To the page",
        answers={307: Answer("To `/ui`.", headers={"Location": "Where the page is."})},
    ),
    ("GET", "/ui"): Operation(
        tag="Pages",
        summary="A page to classify images on",
        answers={200: Answer("The page.", {"text/html": TEXT})},
    ),
    ("GET", "/docs"): Operation(
        tag="Pages",
        summary="This document, to read and to try",
        answers={200: Answer("The page.", {"text/html": TEXT})},
    ),
    ("GET", "/static/{file}"): Operation(
        tag="Pages",
        summary="What the pages are made of",
        answers={200: Answer("The file.", _ASSETS)},
        errors=("not_found",),
    ),
}
