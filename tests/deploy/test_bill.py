"""`make sbom`: the bill of materials names all that is installed to serve, with the digests that are insisted on."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.server import ROOT


@pytest.mark.parametrize("variant", ["cpu", "gpu"])
def test_the_bill_is_what_is_locked(variant: str) -> None:
    """Each package with its version and every hash, in a document that the tool itself has validated."""
    made = ROOT / "build" / f"sbom-{variant}.json"
    made.unlink(missing_ok=True)

    subprocess.run(["make", "--old-file=.venv/.dev", "sbom", f"VARIANT={variant}"], cwd=ROOT, check=True)

    bill = json.loads(made.read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["name"] == "convserve"
    assert {one["purl"].partition("?")[0]: hashes(one) for one in bill["components"]} == locked(variant)


def hashes(component: dict[str, list[dict[str, list[dict[str, str]]]]]) -> set[str]:
    """The SHA-256 digests of a component's files."""
    return {one["content"] for source in component["externalReferences"] for one in source.get("hashes", [])}


def locked(variant: str) -> dict[str, set[str]]:
    """The package URLs (purl) of a requirements file, with the digests."""
    text = Path(ROOT / "requirements" / f"serve-{variant}.txt").read_text()
    found = {}
    for block in re.split(r"\n(?=\w)", text):
        if pinned := re.match(r"([\w.-]+)(?:\[[\w,-]+\])?==(\S+)", block):
            version = pinned[2].replace("+", "%2B")
            found[f"pkg:pypi/{pinned[1]}@{version}"] = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", block))
    return found
