"""What /metrics says, read by Prometheus' reference parser, and what connections of a test have sent."""

import asyncio
import contextlib
import subprocess
from collections import Counter
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.server import Server, require
from tests.e2e.traffic import Connection
from tests.factories import shipped_digit

CONNECTIONS = 6
EACH = 50
THRESHOLD = "?threshold=0.9995"  # which some of the digits reach and some do not


@dataclass
class Sent:
    """What was sent and what came back: statuses, classes, versions, and requests with their labels."""

    broken: bool = True  # of eight images one
    statuses: Counter[int] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)  # of those that were asked for with a threshold
    labels: dict[str, str] = field(default_factory=dict)
    confidence: float = 0.0
    margin: float = 0.0
    lost: int = 0

    async def send(self, port: int) -> None:
        """Send images on one connection until it breaks."""
        connection = await Connection.open(port)
        for i in range(EACH):
            data = shipped_digit(i % 16)[0]
            try:
                query = THRESHOLD if i % 2 else ""
                body = data[:40] if self.broken and i % 8 == 0 else data
                status, content = await connection.post(f"/v1/classify{query}", body)
            except (asyncio.IncompleteReadError, ConnectionError):
                self.lost += 1
                with contextlib.suppress(ConnectionError):  # it is broken, and is to be closed all the same
                    await connection.close()
                return
            self.statuses[status] += 1
            if status == 200:
                first, second = content["predictions"][:2]
                self.classes[first["label"]] += 1
                self.labels[content["request_id"]] = first["label"]
                self.versions[str(content["model"]["version"])] += 1
                self.confidence += first["probability"]
                self.margin += first["probability"] - second["probability"]
                if "abstained" in content:
                    self.outcomes["abstained" if content["abstained"] else "answered"] += 1
        await connection.close()

    async def load(self, port: int) -> None:
        """Send over several connections at once, which both workers get some of."""
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(self.send(port))


class Counted:
    """One scrape."""

    def __init__(self, server: Server) -> None:
        with server.client() as client:
            self.text = client.get("/metrics").text
        families = list(text_string_to_metric_families(self.text))
        self._samples = [sample for family in families for sample in family.samples]
        self.counters = {family.name for family in families if family.type == "counter"}
        self.histograms = {family.name for family in families if family.type == "histogram"}

    def of(self, name: str, by: str = "", **labels: str) -> dict[str, float]:
        """Sums of a metric by a label, of samples that have these labels; those of 0 are left out."""
        sums: Counter[str] = Counter()
        for sample in self._samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                sums[sample.labels.get(by, "")] += sample.value  # type: ignore[assignment]
        return {key: value for key, value in sums.items() if value}

    def count(self, family: str, by: str = "", **labels: str) -> dict[str, float]:
        """The same of a counter, or of the observations of a histogram."""
        return self.of(family + ("_count" if family in self.histograms else "_total"), by, **labels)

    def check_form(self) -> None:
        """Let Prometheus' own linter look at it."""
        require("promtool")
        checked = subprocess.run(
            ["promtool", "check", "metrics"], input=self.text, capture_output=True, text=True, check=False
        )
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
