"""Answers of a running service, as any client would get them: image files go out over HTTP, probabilities come back."""

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx2
import numpy as np

from models.errors import InvalidSpec
from models.spec import ModelSpec
from training.data import Files, Pixels
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

    def logits(self, images: Pixels) -> Floats | None:
        """Return logits (N, K) of prepared images (N, H, W, C) by the Open Inference Protocol, None without it."""
        body = {
            "inputs": [
                {"name": "images", "shape": list(images.shape), "datatype": "UINT8", "data": images.flatten().tolist()}
            ],
            "outputs": [{"name": "logits"}],
        }
        path = f"/v2/models/{self.name}/versions/{self.version}/infer"
        answer = _send(self.client, "POST", path, content=json.dumps(body).encode())
        if answer.status_code == httpx2.codes.NOT_FOUND:
            return None
        content = _content(answer, path)
        try:
            (output,) = [output for output in content["outputs"] if output["name"] == "logits"]
            return np.array(output["data"], np.float32).reshape(output["shape"])
        except (LookupError, TypeError, ValueError) as error:
            raise ServiceFailed(f"{self.url}{path}: an answer without logits") from error

    def _classify(self, file: bytes) -> Floats:
        path = f"/v1/classify?model={self.name}&version={self.version}&precision={self.precision}"
        path += f"&top_k={len(self.spec.labels)}"
        content = _content(_send(self.client, "POST", path, content=file), path)
        row = np.zeros(len(self.spec.labels), np.float32)
        try:
            for prediction in content["predictions"]:
                row[prediction["class_id"]] = prediction["probability"]
        except (LookupError, TypeError, ValueError) as error:
            raise ServiceFailed(f"{self.url}{path}: an answer without predictions") from error
        return row


def connect(url: str, name: str | None = None, key: str | None = None) -> Service:
    """Ask the service at *url* what it serves as *name*, by default its first model. Raises `ServiceFailed`."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        client = httpx2.Client(base_url=url.rstrip("/"), headers=headers, timeout=TIMEOUT_S)
    except (httpx2.InvalidURL, ValueError) as error:
        raise ServiceFailed(f"{url!r} is no address of a service") from error
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


def _send(client: httpx2.Client, method: str, path: str, content: bytes | None = None) -> httpx2.Response:
    """Send a request, again where the service says that it is busy."""
    for attempt in range(ATTEMPTS):
        try:
            answer = client.request(method, path, content=content)
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
