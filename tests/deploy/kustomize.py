"""Renders what deploy/kubernetes uses of kustomize: resources, patches by file (merged by name), and image tags.

`kubectl kustomize` does it too, and a test compares both. The one of Debian 12 carries kustomize 2, which takes the
same files when two fields are called what they were called then.
"""

from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]
_KNOWN = {"apiVersion", "kind", "resources", "patches", "images"}


def render(folder: Path) -> list[Manifest]:
    """Return the manifests of a kustomization; raises `ValueError` for a field that is not known here."""
    kustomization: Manifest = yaml.safe_load((folder / "kustomization.yaml").read_text())
    if unknown := set(kustomization) - _KNOWN:
        raise ValueError(f"{folder}: kustomization fields that this renderer does not know: {sorted(unknown)}")
    manifests: list[Manifest] = []
    for resource in kustomization["resources"]:
        path = folder / resource
        manifests += render(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))
    for patch in kustomization.get("patches", []):
        _patch(manifests, yaml.safe_load((folder / patch["path"]).read_text()))
    for image in kustomization.get("images", []):
        for manifest in manifests:
            _tag(manifest, image["name"], image["newTag"])
    return manifests


def in_old_words(folder: Path) -> None:
    """Rewrite the kustomizations below *folder* for kustomize 2: folders are bases, patches are a list of files."""
    for path in folder.glob("*/kustomization.yaml"):
        kustomization: Manifest = yaml.safe_load(path.read_text())
        resources = kustomization.pop("resources")
        kustomization["bases"] = [one for one in resources if (path.parent / one).is_dir()]
        kustomization["resources"] = [one for one in resources if (path.parent / one).is_file()]
        kustomization["patchesStrategicMerge"] = [patch["path"] for patch in kustomization.pop("patches", [])]
        path.write_text(yaml.safe_dump(kustomization))


def identity(manifest: Manifest) -> tuple[str, str]:
    """What tells one manifest from another."""
    return manifest["kind"], manifest["metadata"]["name"]


def _patch(manifests: list[Manifest], patch: Manifest) -> None:
    (index,) = (i for i, manifest in enumerate(manifests) if identity(manifest) == identity(patch))
    manifests[index] = _merged(manifests[index], patch)


def _merged(old: Any, new: Any) -> Any:
    """A strategic merge: maps by key, lists of named things by name, everything else replaced."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: _merged(old[key], value) if key in old else value for key, value in new.items()}}
    if isinstance(old, list) and isinstance(new, list) and all("name" in item for item in old):
        by_name = {item["name"]: item for item in old}
        return list((by_name | {item["name"]: _merged(by_name.get(item["name"]), item) for item in new}).values())
    return new


def _tag(value: Any, name: str, tag: str) -> None:
    if isinstance(value, dict):
        if value.get("image", "").partition(":")[0] == name:
            value["image"] = f"{name}:{tag}"
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            _tag(item, name, tag)
