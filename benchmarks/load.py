"""Drives one server with wrk and reads what it measured."""

import json
import math
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = Path(__file__).with_name("post.lua")
_PATIENCE_S = 120  # 512 images of a large network in a queue


@dataclass(frozen=True, slots=True)
class Body:
    """What is posted, as which type, and a text that a right answer holds."""

    path: Path
    content_type: str
    expected: str


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of wrk. `refused` are answers that are not 2xx, `broken` are connections that failed, `flowing` are the
    answers after the first burst, within `flowing_s` from the first answer to the last.
    """

    seconds: float
    answers: int
    checked: int
    wrong: int
    refused: int
    broken: int
    p50_ms: float
    p99_ms: float
    flowing: int
    flowing_s: float

    @property
    def per_second(self) -> float:
        """Answers with 2xx per second."""
        return (self.answers - self.refused) / self.seconds

    @property
    def flow_per_second(self) -> float:
        """Answers per second while they came, where one takes long: without what the window cuts off at both ends."""
        return self.flowing / self.flowing_s if self.flowing else 0.0


def drive(url: str, body: Body, *, connections: int, seconds: float) -> Measured:
    """Post *body* to *url* from so many connections for so long; raises `RuntimeError` when wrk cannot."""
    if shutil.which("wrk") is None:
        raise RuntimeError("wrk is not installed (Debian: apt-get install wrk)")
    command = ["wrk", "-t1", f"-c{connections}", f"-d{math.ceil(seconds)}s", "--latency"]
    command += [f"--timeout={_PATIENCE_S}s", "-s", str(SCRIPT), url]
    command += ["--", str(body.path), body.content_type, body.expected]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    found = [line for line in finished.stdout.splitlines() if line.startswith("JSON ")]
    if not found:
        raise RuntimeError(f"wrk: {finished.stdout}{finished.stderr}")
    return Measured(**json.loads(found[0].removeprefix("JSON ")))


def sample_body() -> Body:
    """Return the sample image of the repository, raw."""
    return Body(ROOT / "docs" / "samples" / "7.png", "image/png", '"label":"7"')


def form_body(folder: Path) -> Body:
    """Return the same as a multipart form with the field `images`, as stock BentoML takes it."""
    disposition = b'Content-Disposition: form-data; name="images"; filename="7.png"'
    head = b"\r\n".join([b"--frontier", disposition, b"Content-Type: image/png", b"", b""])
    path = folder / "form"
    path.write_bytes(head + sample_body().path.read_bytes() + b"\r\n--frontier--\r\n")
    return Body(path, "multipart/form-data; boundary=frontier", '"label": "7"')
