"""Answers of a running service, as any client would get them: image files go out over HTTP, probabilities come back."""

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import numpy as np

from models.errors import InvalidSpec
from models.spec import IMAGE_SUFFIX, ModelSpec
from training.data import Files
from training.errors import ServiceFailed
from training.evaluate import Floats

CONNECTIONS = 8  # so that batches form, as they would in use
ATTEMPTS = 5  # of a request that is refused because the service is busy
TIMEOUT_S = 60.0
BUSY = (429, 503)


@dataclass(frozen=True, slots=True)
class Service:
    """A model that a service at *url* serves, as the service itself describes it."""

    client: httpx2.Client
    url: str
    name: str
    version: int
    precision: str
    spec: ModelSpec

    def probabilities(self, files: Files) -> Floats:
        """Classify image files; returns probabilities (N, K). Raises `ServiceFailed`."""
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            return np.stack(list(pool.map(self._classify, files)))

    def logits(self, files: Files) -> Floats | None:
        """Return logits (N, K) of image files by the Open Inference Protocol; None where it is not spoken."""
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            rows = list(pool.map(self._infer, files))
        found = [row for row in rows if row is not None]
        return np.stack(found) if len(found) == len(rows) else None

    def _infer(self, file: bytes) -> Floats | None:
        """Send one image file as a raw request to the face of the model that takes image files."""
        path = f"/v2/models/{self.name}{IMAGE_SUFFIX}/versions/{self.version}/infer"
        headers = {"Inference-Header-Content-Length": "0", "Accept": "application/json"}
        answer = _send(self.client, "POST", path, file, headers)
        if answer.status_code in (httpx2.codes.NOT_FOUND, httpx2.codes.NOT_IMPLEMENTED):
            return None
        content = _content(answer, path)
        try:
            (output,) = [output for output in content["outputs"] if output["name"] == "logits"]
            return np.array(output["data"], np.float32).reshape(len(self.spec.labels))
        except (LookupError, TypeError, ValueError) as error:
            raise ServiceFailed(f"{self.url}{path}: an answer without logits") from error

    def _classify(self, file: bytes) -> Floats:
        path = f"/v1/classify?model={self.name}&version={self.version}&precision={self.precision}"
        path += f"&top_k={len(self.spec.labels)}"
        content = _content(_send(self.client, "POST", path, file), path)
        row = np.zeros(len(self.spec.labels), np.float32)
        try:
            for prediction in content["predictions"]:
                row[prediction["class_id"]] = prediction["probability"]
        except (LookupError, TypeError, ValueError) as error:
            raise ServiceFailed(f"{self.url}{path}: an answer without predictions") from error
        return row


@contextmanager
def connect(url: str, name: str | None = None, key: str | None = None) -> Iterator[Service]:
    """Ask the service at *url* what it serves as *name*, by default its first model. Raises `ServiceFailed`."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        client = httpx2.Client(base_url=url.rstrip("/"), headers=headers, timeout=TIMEOUT_S)
    except (httpx2.InvalidURL, ValueError) as error:
        raise ServiceFailed(f"{url!r} is no address of a service") from error
    with client:
        yield _describe(client, url, name)


def _describe(client: httpx2.Client, url: str, name: str | None) -> Service:
    if name is None:
        models = _content(_send(client, "GET", "/v1/models"), "/v1/models").get("models")
        if not isinstance(models, Sequence) or not models:
            raise ServiceFailed(f"{url}: serves no model")
        name = str(models[0]["name"])
    path = f"/v1/models/{name}"
    content = _content(_send(client, "GET", path), path)
    try:
        spec = ModelSpec.from_json(json.dumps(content["spec"]), f"{url}{path}")
        return Service(client, url, name, int(content["version"]), str(content["precision"]), spec)
    except (InvalidSpec, LookupError, TypeError, ValueError) as error:
        raise ServiceFailed(f"{url}{path}: not the description of a model of ours") from error


def _send(
    client: httpx2.Client, method: str, path: str, content: bytes | None = None, headers: dict[str, str] | None = None
) -> httpx2.Response:
    """Send a request, again where the service says that it is busy."""
    for attempt in range(ATTEMPTS):
        try:
            answer = client.request(method, path, content=content, headers=headers)
        except httpx2.HTTPError as error:
            raise ServiceFailed(f"{client.base_url}: {str(error) or type(error).__name__}") from error
        if answer.status_code not in BUSY or attempt == ATTEMPTS - 1:
            break
        time.sleep(min(5.0, float(answer.headers.get("retry-after", 1))))
    return answer


def _content(answer: httpx2.Response, path: str) -> dict[str, Any]:
    url = f"{str(answer.request.url).split('/v', 1)[0]}{path}"
    try:
        content = answer.json()
    except ValueError as error:
        raise ServiceFailed(f"{url}: answered {answer.status_code} without JSON") from error
    if not isinstance(content, dict):
        raise ServiceFailed(f"{url}: answered {answer.status_code} with JSON that is no object")
    if answer.status_code != httpx2.codes.OK:
        raise ServiceFailed(f"{url}: {answer.status_code} {content.get('error', 'without a reason')}")
    return content
