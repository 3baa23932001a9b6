"""Writes the rules and alerts of deploy/prometheus as the object that the Prometheus operator reads: `make rules`."""

from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).resolve().parent
FILE = DEPLOY / "kubernetes" / "base" / "rules.yaml"
SOURCES = (DEPLOY / "prometheus" / "rules.yaml", DEPLOY / "prometheus" / "alerts.yaml")


def render() -> str:
    """Return the text of the PrometheusRule."""
    groups: list[Any] = [group for path in SOURCES for group in yaml.safe_load(path.read_text())["groups"]]
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "convserve"},
        "spec": {"groups": groups},
    }
    return "# Written by `make rules` from deploy/prometheus.\n" + yaml.safe_dump(rule, sort_keys=False, width=120)


if __name__ == "__main__":
    FILE.write_text(render())
