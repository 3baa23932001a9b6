"""The compose file: valid, locked down, and in step with the service and with Prometheus."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import PREFIX, Settings
from tests.deploy.tools import DEPLOY, run

COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("cpu", "gpu")


def test_the_file_is_valid() -> None:
    """By the schema of the Compose specification."""
    checker = Path(sys.executable).with_name("check-jsonschema")

    run(checker, "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")


@pytest.mark.parametrize("name", SERVICES)
def test_containers_are_locked_down(name: str) -> None:
    """Read-only, no capabilities, no way to new privileges."""
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_open_on_loopback_alone(name: str) -> None:
    """Nobody has set keys yet."""
    assert SERVICES[name]["ports"]
    for port in SERVICES[name]["ports"]:
        assert re.match(r"127\.0\.0\.1:|\$\{ADDRESS:-127\.0\.0\.1\}:", port)


@pytest.mark.parametrize("name", OURS)
def test_the_drain_fits_into_the_grace_period(name: str) -> None:
    """With the default delay and grace."""
    grace_s = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))

    assert Settings.model_fields["drain_delay_s"].default + Settings.model_fields["drain_grace_s"].default < grace_s


@pytest.mark.parametrize("name", OURS)
def test_services_set_what_the_service_knows(name: str) -> None:
    """An unknown setting would end the start; a GPU that was asked for is taken or refused."""
    environment = SERVICES[name]["environment"]

    assert {key for key in environment if key.startswith(PREFIX)} <= {PREFIX + f.upper() for f in Settings.model_fields}
    assert environment["CONVSERVE_PROVIDER"] == {"cpu": "cpu", "gpu": "cuda"}[name]
    assert SERVICES[name]["build"]["args"] == {"VARIANT": name}


def test_one_profile_is_the_default() -> None:
    """So that a plain `docker compose up` starts the service."""
    assert "COMPOSE_PROFILES=cpu" in (DEPLOY / ".env").read_text().splitlines()
    assert [SERVICES[name]["profiles"] for name in OURS] == [["cpu"], ["gpu"]]


def test_files_that_are_mounted_exist() -> None:
    """And Grafana's dashboards lie where its provisioning looks."""
    for service in SERVICES.values():
        for volume in service["volumes"]:
            source = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume).split(":")[0]
            assert not source.startswith(".") or (DEPLOY / source).is_dir(), volume
    provider = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/convserve.yaml").read_text())["providers"][0]
    mounted = {volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]}
    assert provider["options"]["path"] in mounted
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (DEPLOY / "grafana" / "dashboards" / Path(home).name).is_file()


def test_prometheus_scrapes_both_services() -> None:
    """By the names that compose gives them, on the port that the image opens."""
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())

    (job,) = config["scrape_configs"]

    assert job["dns_sd_configs"][0]["names"] == list(OURS)
    assert f"EXPOSE {job['dns_sd_configs'][0]['port']}" in (DEPLOY / "Dockerfile").read_text()
