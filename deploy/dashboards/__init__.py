"""Grafana dashboards as code: names of metrics come from the service, `make dashboards` writes the JSON."""
