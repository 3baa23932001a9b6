"""POST …/infer: a request of the Open Inference Protocol on its way through the engine and back."""

from time import perf_counter
from typing import Any

import numpy as np

from models.errors import ModelError
from service.admission import Claim, Priority
from service.engine import Answered, Engine
from service.errors import RequestError
from service.http import Request, Response, Timings
from service.oip import compression, response
from service.oip.faces import Face, Faces
from service.oip.request import InferRequest, parse
from service.oip.statistics import Statistics
from service.oip.tensors import Floats
from service.records.outcome import Outcome
from service.settings import Settings

_LOWEST = 3  # priorities from here on are low, 1 is the highest and 0 the default


class Infer:
    """The handler."""

    def __init__(self, engine: Engine, faces: Faces, settings: Settings, statistics: Statistics) -> None:
        self._engine = engine
        self._faces = faces
        self._max_body_bytes = settings.max_body_bytes
        self._statistics = statistics

    async def __call__(self, request: Request) -> Response:
        """Answer one request."""
        began = perf_counter() - request.read_s
        headers = request.headers
        body = await compression.inflated(request.body, headers.get(b"content-encoding"), self._max_body_bytes)
        face = self._faces.routed(
            request.params["name"], request.params.get("version"), headers.get(b"x-client-id")
        )  # and no await from here to the queue, so that the model cannot go meanwhile
        try:
            asked = parse(
                body, headers.get(b"inference-header-content-length"), face.signature, accept=headers.get(b"accept")
            )
            answered = await self._engine.answer(asked.images, face.model, _claim(request.claim, asked, began))
            outputs = _outputs(answered)
        except (ModelError, RequestError):
            self._statistics.fail(face.model.spec.name, face.model.spec.version, perf_counter() - began)
            raise
        answered_at = perf_counter()
        answer = _encoded(face, asked, outputs)
        answer.body, encoding = await compression.deflated(answer.body, headers.get(b"accept-encoding"))
        timings = Timings(request.read_s, answered.decode_s, answered.queue_s, answered.inference_s, answered_at)
        answer.timings = timings
        files = () if isinstance(asked.images, np.ndarray) else asked.images
        answer.outcome = Outcome(face.model, answered.results, files)
        answer.headers += [*encoding, (b"server-timing", timings.header())]
        self._count(face, began, answered, answered_at)
        return answer

    def _count(self, face: Face, began: float, answered: Answered, answered_at: float) -> None:
        now = perf_counter()
        parts = (now - began, answered.queue_s, answered.decode_s, answered.inference_s, now - answered_at)
        self._statistics.success(face.model.spec.name, face.model.spec.version, parts)


def _encoded(face: Face, asked: InferRequest, outputs: dict[str, Floats]) -> Response:
    spec = face.model.spec
    head: dict[str, Any] = {"model_name": face.name, "model_version": str(spec.version)}
    if asked.id is not None:
        head["id"] = asked.id
    head["parameters"] = {"precision": face.model.loaded.precision}
    return response.encode(head, outputs, asked.outputs, spec.labels)


def _claim(claim: Claim, asked: InferRequest, began: float) -> Claim:
    """Return the claim of a request whose own timeout and priority can only make it smaller."""
    if asked.timeout_us:
        claim = claim._replace(deadline=min(claim.deadline, began + asked.timeout_us / 1e6), patient=True)
    if asked.priority >= _LOWEST:
        claim = claim._replace(priority=Priority.LOW)
    return claim


def _outputs(answered: Answered) -> dict[str, Floats]:
    """Return the outputs (N, K) of all images; raises what the first one without an answer ended with."""
    logits: list[Floats] = []
    probabilities: list[Floats] = []
    for i, result in enumerate(answered.results):
        if isinstance(result, ModelError) and len(answered.results) > 1:
            raise type(result)(f"image {i}: {result}") from result
        if isinstance(result, Exception):
            raise result
        logits.append(result.logits)
        probabilities.append(result.probabilities)
    return {"logits": np.array(logits), "probabilities": np.array(probabilities)}
