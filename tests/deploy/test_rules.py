"""Recording rules and alerts: valid, tested one by one, with a page in the runbook, and about metrics that exist."""

import re

import pytest
import yaml

from deploy import prometheus_rule
from service.errors import STATUS
from service.families import STAGES
from tests.deploy.expressions import SERIES, Shipped, of_alerts, of_dashboards, of_rules, of_the_adapter, rules
from tests.deploy.tools import DEPLOY, ROOT, need, run

TESTS = ROOT / "tests" / "deploy" / "rules_test.yaml"
VALUES = {"reason": set(STATUS), "stage": {*STAGES, "request"}}  # labels with closed sets of values


def anchors(page: str) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_rules_and_configuration_are_valid() -> None:
    """By Prometheus' own checker."""
    promtool = need("promtool", "prometheus")

    run(promtool, "check", "config", DEPLOY / "prometheus" / "prometheus.yml")


def test_alerts_fire_when_they_should() -> None:
    """By the cases of rules_test.yaml."""
    run(need("promtool", "prometheus"), "test", "rules", TESTS)


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    """So that no alert is added without."""
    fires: set[str] = set()
    stays: set[str] = set()
    for case in yaml.safe_load(TESTS.read_text())["tests"]:
        for alert in case.get("alert_rule_test", []):
            (fires if alert["exp_alerts"] else stays).add(alert["alertname"])
            firing = {frozenset(one["exp_labels"].items()) for one in alert["exp_alerts"]}
            if firing and len(firing) < len({series["series"] for series in case["input_series"]}):
                stays.add(alert["alertname"])  # other series of the same case must not fire it

    assert {rule["alert"] for rule in rules("alerts.yaml")} == fires
    assert fires == stays


def test_every_alert_names_its_part_of_the_runbook() -> None:
    """And that part exists."""
    page = anchors((ROOT / "docs" / "operations.md").read_text())

    for rule in rules("alerts.yaml"):
        file, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert file == "docs/operations.md"
        assert anchor in page, rule["alert"]
        assert rule["labels"]["severity"] in {"page", "ticket"}


@pytest.mark.parametrize(
    "shipped", [*of_dashboards(), *of_rules(), *of_alerts(), *of_the_adapter()], ids=lambda shipped: shipped.where
)
def test_expressions_name_what_the_service_offers(shipped: Shipped) -> None:
    """Metrics of the service, and values of labels that exist."""
    assert shipped.names <= set(SERIES), shipped.names - set(SERIES)
    for label, known in VALUES.items():
        for value in re.findall(rf'\b{label}="([^"]*)"', shipped.expression):
            assert value in known


def test_alerts_ask_for_what_is_recorded() -> None:
    """Recorded names are those of rules.yaml."""
    recorded = {rule["record"] for rule in rules("rules.yaml")}

    for shipped in of_alerts():
        assert set(re.findall(r"\b\w+:\w+:\w+", shipped.expression)) <= recorded


def test_the_operator_gets_the_same_rules() -> None:
    """The committed PrometheusRule is what `make rules` writes."""
    assert prometheus_rule.FILE.read_text() == prometheus_rule.render()
