"""Every PromQL expression that ships, and what the service offers them."""

import json
import re
from dataclasses import dataclass
from typing import Any

import yaml

from service.families import FAMILIES, GPU_MEMORY, GPU_MEMORY_TOTAL, GPU_UTILISATION
from tests.deploy.tools import DEPLOY

_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
SERIES = {family.name + suffix: family for family in FAMILIES for suffix in _SUFFIXES[family.kind]}
GPU_SERIES = {family.name for family in (GPU_UTILISATION, GPU_MEMORY, GPU_MEMORY_TOTAL)}  # no data without one
VARIABLES = {"$instance": ".*", "$model": ".*", "$__rate_interval": "1m"}  # what Grafana fills in


@dataclass(frozen=True)
class Shipped:
    """An expression and where it stands."""

    where: str
    expression: str

    @property
    def names(self) -> set[str]:
        """The metrics of the service that it asks for; recorded names have colons and are none of them."""
        return set(re.findall(r"(?<![\w:])classifier_\w+(?!\w*:)", self.expression))


def dashboards() -> dict[str, Any]:
    """The committed dashboards by their file's name."""
    return {path.name: json.loads(path.read_text()) for path in sorted((DEPLOY / "grafana/dashboards").glob("*.json"))}


def of_dashboards() -> list[Shipped]:
    """Every expression of every panel, with Grafana's variables filled in."""
    found = []
    for file, content in dashboards().items():
        for panel in content["panels"]:
            for target in panel.get("targets", []):
                expression = target["expr"]
                for name, value in VARIABLES.items():
                    expression = expression.replace(name, value)
                found.append(Shipped(f"{file}: {panel['title']}", expression))
    return found


def rules(file: str) -> list[dict[str, Any]]:
    """The rules of a file of Prometheus."""
    groups = yaml.safe_load((DEPLOY / "prometheus" / file).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def of_rules() -> list[Shipped]:
    """Every expression that is recorded."""
    return [Shipped(rule["record"], rule["expr"]) for rule in rules("rules.yaml")]


def of_alerts() -> list[Shipped]:
    """Every condition of an alert."""
    return [Shipped(rule["alert"], rule["expr"]) for rule in rules("alerts.yaml")]


def of_the_adapter() -> list[Shipped]:
    """The query of each metric that the Prometheus adapter makes, with its template filled in."""
    found = []
    for rule in yaml.safe_load((DEPLOY / "kubernetes/adapter.yaml").read_text())["rules"]["custom"]:
        series = re.match(r"\w+", rule["seriesQuery"])
        assert series is not None
        expression = rule["metricsQuery"].replace("<<.Series>>", series[0])
        expression = expression.replace("<<.LabelMatchers>>", 'job="convserve"').replace("<<.GroupBy>>", "instance")
        found.append(Shipped(rule["name"]["as"], expression))
    return found
