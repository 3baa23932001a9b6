"""The Kubernetes manifests: valid, locked down, and in step with what the service does."""

import copy
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import ValidationError

from service.settings import PREFIX, Settings
from tests.deploy.kustomize import Manifest, identity, in_old_words, render
from tests.deploy.manifests import CUSTOM, check
from tests.deploy.tools import DEPLOY, need, run

KUBERNETES = DEPLOY / "kubernetes"
OVERLAYS = ("base", "gpu", "kserve")
FIRST_KUSTOMIZE = (1, 21)  # of kubectl: older ones carry kustomize 2, which has other words for the same
MARGIN_S = 5  # from the end of the drain to the end of the process


def manifests(overlay: str) -> dict[str, Manifest]:
    """The rendered manifests by kind; there is one of each."""
    return {identity(manifest)[0]: manifest for manifest in render(KUBERNETES / overlay)}


def containers() -> list[Any]:
    """The container of each overlay and the grace period of its pod."""
    found = []
    for overlay in ("base", "gpu"):
        spec = manifests(overlay)["Deployment"]["spec"]["template"]["spec"]
        found.append((spec["containers"][0], spec["terminationGracePeriodSeconds"]))
    kserve = manifests("kserve")
    (container,) = kserve["ServingRuntime"]["spec"]["containers"]
    return [*found, (container, kserve["InferenceService"]["spec"]["predictor"]["terminationGracePeriodSeconds"])]


def environ(container: Manifest) -> dict[str, str]:
    """The environment of a container."""
    return {variable["name"]: variable["value"] for variable in container["env"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_manifests_are_valid(overlay: str) -> None:
    """By strict schemas, of Kubernetes and of the operators: unknown fields are faults."""
    for manifest in render(KUBERNETES / overlay):
        check(manifest)


def test_every_custom_resource_has_been_checked() -> None:
    """No schema is left over, and each finds a field too many wherever one is put."""
    shipped = {manifest["kind"]: manifest for overlay in OVERLAYS for manifest in render(KUBERNETES / overlay)}
    assert set(shipped) >= CUSTOM

    for kind in CUSTOM:
        for spoilt in misspelt(shipped[kind]):
            with pytest.raises(Exception, match="unheardOf") as raised:
                check(spoilt)
            assert isinstance(raised.value, ValidationError), kind


def misspelt(manifest: Manifest) -> Iterator[Manifest]:
    """Copies of a manifest with a field that does not exist, once in each map whose fields are not free."""
    free = ("matchLabels", "labels", "annotations", "requests", "limits")

    def places(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
        if isinstance(value, dict) and not (path and path[-1] in free):
            yield path
        if isinstance(value, dict | list):
            for key, below in value.items() if isinstance(value, dict) else enumerate(value):
                yield from places(below, *path, key)

    for path in places(manifest):
        spoilt = target = copy.deepcopy(manifest)
        for key in path:
            target = target[key]
        target["unheardOf"] = 1
        yield spoilt


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubectl_renders_the_same(overlay: str, tmp_path: Path) -> None:
    """The renderer of these tests makes what kustomize makes; an old one is given the same in its own words."""
    kubectl = need("kubectl", "kubernetes-client")
    version = re.search(r"v(\d+)\.(\d+)", run(kubectl, "version", "--client", "--output=yaml"))
    assert version is not None
    folder = KUBERNETES
    if (int(version[1]), int(version[2])) < FIRST_KUSTOMIZE:
        folder = tmp_path / "kubernetes"
        shutil.copytree(KUBERNETES, folder)
        in_old_words(folder)

    theirs = list(yaml.safe_load_all(run(kubectl, "kustomize", folder / overlay)))

    assert sorted(theirs, key=identity) == sorted(render(KUBERNETES / overlay), key=identity)


@pytest.mark.parametrize(("container", "grace_s"), containers(), ids=OVERLAYS)
def test_the_drain_fits_into_the_grace_period(container: Manifest, grace_s: int) -> None:
    """Kubernetes kills when the grace period is over, whatever is still open."""
    settings = environ(container)

    drain_s = float(settings["CONVSERVE_DRAIN_DELAY_S"]) + float(settings["CONVSERVE_DRAIN_GRACE_S"])

    assert drain_s + MARGIN_S <= grace_s
    probe = container["readinessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] < float(settings["CONVSERVE_DRAIN_DELAY_S"])


@pytest.mark.parametrize("container", [container for container, _ in containers()], ids=OVERLAYS)
def test_pods_are_locked_down(container: Manifest) -> None:
    """No root, no writable root, no capability, and a ceiling on memory."""
    security = container["securityContext"]

    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert "memory" in container["resources"]["limits"]
    assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)


@pytest.mark.parametrize("container", [container for container, _ in containers()], ids=OVERLAYS)
def test_pods_set_what_the_service_knows(container: Manifest) -> None:
    """An unknown setting would end the start."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}

    ours = {name for name in environ(container) if name.startswith(PREFIX)}

    assert ours
    assert ours <= known


def test_service_links_are_off() -> None:
    """Kubernetes would add CONVSERVE_PORT and the like for the Service of that name."""
    assert manifests("base")["Deployment"]["spec"]["template"]["spec"]["enableServiceLinks"] is False
    assert manifests("kserve")["InferenceService"]["spec"]["predictor"]["enableServiceLinks"] is False


def test_everything_selects_the_same_pods() -> None:
    """The Service, the budget, the network policy, and the monitor by way of the Service."""
    base = manifests("base")
    labels = base["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        base["Service"]["spec"]["selector"],
        base["Deployment"]["spec"]["selector"]["matchLabels"],
        base["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        base["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ]

    for selector in selectors:
        assert selector.items() <= labels.items()
    monitor = base["ServiceMonitor"]["spec"]
    assert monitor["selector"]["matchLabels"].items() <= base["Service"]["metadata"]["labels"].items()
    assert set(monitor["podTargetLabels"]) <= set(labels)


def test_nothing_goes_out() -> None:
    """The policy allows no egress at all, not even names."""
    policy = manifests("base")["NetworkPolicy"]["spec"]

    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["egress"] == []


def test_a_gpu_pod_has_one_gpu_and_must_use_it() -> None:
    """CUDA is asked for, so that a pod without it does not become ready on its processor."""
    template = manifests("gpu")["Deployment"]["spec"]["template"]
    (container,) = template["spec"]["containers"]

    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert environ(container)["CONVSERVE_PROVIDER"] == "cuda"
    assert container["image"] == "convserve:gpu"
    assert template["metadata"]["labels"]["accelerator"] == "gpu"
    assert manifests("base")["Deployment"]["spec"]["template"]["metadata"]["labels"]["accelerator"] == "cpu"


def test_kserve_finds_the_protocol_where_it_looks() -> None:
    """Port 8080, /mnt/models, version 2 of the protocol, and a runtime of the name that the example asks for."""
    kserve = manifests("kserve")
    runtime, model = kserve["ServingRuntime"], kserve["InferenceService"]["spec"]["predictor"]["model"]
    (container,) = runtime["spec"]["containers"]

    assert container["name"] == "kserve-container"
    assert container["ports"][0]["containerPort"] == 8080
    assert environ(container)["BENTOML_PORT"] == "8080"
    assert environ(container)["CONVSERVE_MODEL_STORE"] == "/mnt/models"
    assert environ(container)["CONVSERVE_SERVED_NAME"] == "{{.Name}}"
    assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]
    assert model["runtime"] == runtime["metadata"]["name"]
    assert model["modelFormat"]["name"] in {one["name"] for one in runtime["spec"]["supportedModelFormats"]}


def test_the_autoscaler_asks_for_what_the_adapter_makes() -> None:
    """And for the processor, where there is no adapter."""
    metrics = manifests("base")["HorizontalPodAutoscaler"]["spec"]["metrics"]
    (rule,) = yaml.safe_load((KUBERNETES / "adapter.yaml").read_text())["rules"]["custom"]

    assert metrics[0]["pods"]["metric"]["name"] == rule["name"]["as"]
    assert metrics[1]["resource"]["name"] == "cpu"
