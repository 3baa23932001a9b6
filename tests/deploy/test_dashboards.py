"""The dashboards: generated, decodable, and laid out so that nothing overlaps."""

import json
from itertools import pairwise
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.dashboards.__main__ import FOLDER, render
from deploy.dashboards.expressions import quantile, rate, selector
from deploy.dashboards.machine import NEEDS_GPU
from deploy.dashboards.panels import WIDTH
from service.families import DURATION, IMAGES, READY, REQUESTS
from tests.deploy.expressions import GPU_SERIES, dashboards


def test_the_committed_files_are_the_generated_ones() -> None:
    """`make dashboards` leaves no difference, and no file is left over."""
    assert {path.name: path.read_text() for path in FOLDER.glob("*.json")} == render()


@pytest.mark.parametrize("name", dashboards())
def test_grafana_can_read_it(name: str) -> None:
    """The decoder of Grafana's SDK takes it, and gives the same back."""
    register_default_plugins()
    content = dashboards()[name]

    decoded = Dashboard.from_json(content)

    again = json.loads(json.dumps(decoded, cls=JSONEncoder))
    assert [panel["title"] for panel in again["panels"]] == [panel["title"] for panel in content["panels"]]
    assert expressions(again) == expressions(content)


def expressions(content: dict[str, Any]) -> list[str]:
    """The expressions of a dashboard."""
    return [target["expr"] for panel in content["panels"] for target in panel.get("targets", [])]


@pytest.mark.parametrize("name", dashboards())
def test_panels_have_their_place(name: str) -> None:
    """Each has an id, a sentence on what it shows, and a place that no other overlaps."""
    content = dashboards()[name]
    panels = [panel for panel in content["panels"] if panel["type"] != "row"]
    places = sorted((p["gridPos"]["y"], p["gridPos"]["x"], p["gridPos"]["w"]) for p in panels)

    assert len({panel["id"] for panel in content["panels"]}) == len(content["panels"])
    assert all(panel["description"] for panel in panels)
    for (y, x, width), (next_y, next_x, _) in pairwise(places):
        assert x + width <= WIDTH
        assert next_y > y or next_x >= x + width


def test_panels_that_need_a_gpu_say_so() -> None:
    """They stay empty on machines without one."""
    for content in dashboards().values():
        for panel in content["panels"]:
            needs = any(name in target["expr"] for target in panel.get("targets", []) for name in GPU_SERIES)
            assert panel.get("description", "").startswith(NEEDS_GPU) == needs, panel["title"]


def test_a_selector_knows_its_family() -> None:
    """Suffixes by kind, the dashboard's variables, and matchers of four sorts."""
    assert selector(READY) == 'classifier_ready{job="convserve", instance=~"$instance"}'
    assert selector(IMAGES, version="2").startswith(
        'classifier_images_total{job="convserve", instance=~"$instance", model=~'
    )
    assert rate(REQUESTS, by=("code",), code="~5..") == (
        'sum by (code) (rate(classifier_http_requests_total{job="convserve", instance=~"$instance", code=~"5.."}'
        "[$__rate_interval]))"
    )
    assert "sum by (le)" in quantile(0.99, DURATION, route="!~/livez")
    assert 'route!~"/livez"' in quantile(0.99, DURATION, route="!~/livez")


@pytest.mark.parametrize(
    ("family", "part", "matchers", "message"),
    [
        (READY, "", {"route": "/"}, "classifier_ready has no label route"),
        (READY, "bucket", {}, "classifier_ready is a gauge"),
        (DURATION, "", {}, "classifier_http_request_duration_seconds is a histogram"),
    ],
)
def test_what_does_not_exist_is_refused(family: Any, part: str, matchers: dict[str, str], message: str) -> None:
    """While the dashboards are generated."""
    with pytest.raises(ValueError, match=message):
        selector(family, part, **matchers)
