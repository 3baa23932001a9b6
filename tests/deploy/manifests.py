"""Checks manifests as strictly as can be: core kinds by Kubernetes' schemas, those of operators by crds.yaml."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from jsonschema import Draft202012Validator

from tests.deploy.kustomize import Manifest

VERSIONS = ("1.27", kubernetes_validate.latest_version())  # the oldest and the newest that the validator has
_CUSTOM = yaml.safe_load(Path(__file__).with_name("crds.yaml").read_text())
CUSTOM = frozenset(_CUSTOM["definitions"]) - {"name", "duration", "label", "strings", "metadata"}
_OF_A_COMPONENT = {"minReplicas", "maxReplicas", "scaleMetric", "scaleTarget", "model"}  # KServe's; the rest is a pod's


def check(manifest: Manifest) -> None:
    """Raise `jsonschema.ValidationError` or the like for a manifest that a cluster would refuse or not understand."""
    kind = manifest["kind"]
    if kind not in CUSTOM:
        _by_kubernetes(manifest)
        return
    Draft202012Validator({**_CUSTOM, "$ref": f"#/definitions/{kind}"}).validate(manifest)
    if kind == "ServingRuntime":
        spec = manifest["spec"]
        _pod({"containers": spec["containers"], "volumes": spec.get("volumes", [])})
    if kind == "InferenceService":
        predictor = manifest["spec"]["predictor"]
        of_pod = {key: value for key, value in predictor.items() if key not in _OF_A_COMPONENT}
        _pod({"containers": [{"name": "of-the-runtime"}], **of_pod})


def _pod(spec: Mapping[str, Any]) -> None:
    _by_kubernetes({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "any"}, "spec": spec})


def _by_kubernetes(manifest: Manifest) -> None:
    for version in VERSIONS:
        kubernetes_validate.validate(manifest, version, strict=True)
