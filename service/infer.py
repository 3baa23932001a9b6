"""POST /v1/classify and /v1/embed: images in, predictions or embeddings out, in the same order."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

from pydantic_core import to_json

from models.postprocess import abstains, top_k
from models.spec import ModelSpec
from service import images, parameters
from service.catalog import ServedModel
from service.engine import Engine
from service.errors import BadParameter
from service.http import Request, Response, Route, Timings
from service.outputs import Answer
from service.records.outcome import Outcome
from service.settings import Settings

DEFAULT_TOP_K = 5
_WHICH = ("model", "version", "precision")
_CLASSIFY = (*_WHICH, "top_k", "threshold", "crops")
_EMBED = (*_WHICH, "crops")


class Infer:
    """The handlers. *reject* counts an image of several that was refused, by its code; *judge* one that was asked for
    with a threshold, and whether the answer is to abstain.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        reject: Callable[[str], None],
        judge: Callable[[ModelSpec, bool], None],
    ) -> None:
        self._engine = engine
        self._find = engine.catalog.find
        self._max_images = settings.max_images
        self._reject = reject
        self._judge = judge
        self.routes = (
            Route("/v1/classify", {"POST": self.classify}, takes_body=True, role="classify"),
            Route("/v1/embed", {"POST": self.embed}, takes_body=True, role="classify"),
        )

    async def classify(self, request: Request) -> Response:
        """POST /v1/classify: the most probable classes of each image."""
        values = parameters.parse(request.query, _CLASSIFY)
        model = self._model(request, values)
        labels = model.spec.labels
        k, threshold = min(DEFAULT_TOP_K, len(labels)), None
        if "top_k" in values:
            k = parameters.integer("top_k", values["top_k"], 1, len(labels))
        if "threshold" in values:
            threshold = parameters.share("threshold", values["threshold"])

        def shown(answer: Answer) -> dict[str, Any]:
            predictions = top_k(answer.probabilities, labels, k)
            if threshold is None:
                return {"predictions": predictions}
            abstained = abstains(predictions, threshold)
            self._judge(model.spec, abstained)
            return {"predictions": predictions, "abstained": abstained}

        return await self._answer(request, model, values, shown)

    async def embed(self, request: Request) -> Response:
        """POST /v1/embed: what the classifier sees of each image, as a vector."""
        values = parameters.parse(request.query, _EMBED)
        model = self._model(request, values)
        if model.spec.features is None:
            raise BadParameter(
                f"model: {model.spec.name} version {model.spec.version} has no features; it was exported without"
            )
        return await self._answer(request, model, values, _embedding)

    def _model(self, request: Request, values: dict[str, str]) -> ServedModel:
        return self._find(
            values.get("model"),
            parameters.version(values),
            values.get("precision"),
            request.headers.get(b"x-client-id"),
        )

    async def _answer(
        self, request: Request, model: ServedModel, values: dict[str, str], shown: Callable[[Answer], dict[str, Any]]
    ) -> Response:
        crops = parameters.one_of("crops", values["crops"], (1, 10)) if "crops" in values else 1
        files = images.read(request, self._max_images)
        answered = await self._engine.answer(files, model, request.claim, crops=crops)
        results, decode_s, queue_s, inference_s = answered
        timings = Timings(request.read_s, decode_s, queue_s, inference_s, perf_counter())
        if len(files) == 1:
            result = results[0]
            if not isinstance(result, Answer):
                raise result
            content = shown(result)
        else:
            content = {"results": [self._result(result, shown) for result in results]}
        body = to_json({"request_id": request.id, "model": model.identity, **content})
        outcome = Outcome(model, results, files)
        return Response(body, headers=[(b"server-timing", timings.header())], timings=timings, outcome=outcome)

    def _result(self, result: Any, shown: Callable[[Answer], dict[str, Any]]) -> dict[str, Any]:
        if isinstance(result, Answer):
            return shown(result)
        self._reject(result.code)
        return {"error": str(result), "code": result.code}


def _embedding(answer: Answer) -> dict[str, Any]:
    return {"embedding": answer.features.tolist()}
