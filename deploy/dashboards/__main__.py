"""Writes the JSON of every dashboard, as Grafana's provisioning reads it: `python -m deploy.dashboards [FOLDER]`."""

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.dashboards import machine, models, quality, service

FOLDER = Path(__file__).resolve().parent.parent / "grafana" / "dashboards"
DASHBOARDS = {"service": service.build, "models": models.build, "quality": quality.build, "machine": machine.build}


def render() -> dict[str, str]:
    """Return the text of each file by its name."""
    return {
        f"{name}.json": json.dumps(build().build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"
        for name, build in DASHBOARDS.items()
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    for name, text in render().items():
        (folder / name).write_text(text)
