"""Draws the dashboards over some minutes of a real service under load, watched by a real Prometheus.

    python -m tests.deploy.picture [--minutes 3] [FOLDER]

Writes docs/samples/dashboards/*.png. It is our drawing of the JSON that Grafana gets, not Grafana.
"""

import argparse
import tempfile
import time
from pathlib import Path

from tests.deploy.drawing import draw
from tests.deploy.expressions import dashboards
from tests.deploy.prometheus import scraping
from tests.deploy.traffic import CAPACITY, Traffic
from tests.e2e.server import ROOT, serving
from tests.stores import make_store

FOLDER = ROOT / "docs" / "samples" / "dashboards"


def main() -> None:
    """Serve, load, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    parser.add_argument("--minutes", type=float, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = make_store(folder / "store", 3)
        settings = {"model_store": store, "workers": 2, "queue_capacity": CAPACITY, "client_share": 1}
        settings |= {"feedback": 1, "cache_entries": 100, "state_dir": folder / "state"}
        with serving(folder, **settings) as server, scraping(folder, server.port) as prometheus:
            prometheus.wait_for("up == 1")
            traffic = Traffic(server)
            traffic.try_versions()
            end = time.monotonic() + 60 * arguments.minutes
            while time.monotonic() < end:
                traffic.send()
            traffic.refuse(store)
            for file, content in dashboards().items():
                draw(content, prometheus, 60 * arguments.minutes, (arguments.folder / file).with_suffix(".png"))


if __name__ == "__main__":
    main()
