"""The routes: HTTP in and out of the engine. A handler gets a `Request` whose body is read and returns a `Response`."""

import asyncio
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

from pydantic_core import to_json

from service import multipart, parameters
from service.catalog import ServedModel
from service.engine import Engine, Refusal
from service.errors import NotReady, UnknownModel, UnsupportedMediaType, quoted
from service.http import Request, Response, Route, Timings
from service.metrics import Metrics
from service.oip.routes import OpenInference
from service.oip.statistics import Statistics
from service.settings import Settings
from service.ui.pages import Pages

DEFAULT_TOP_K = 5
_RESTART_S = 15  # BentoML looks for dead workers every ten seconds
_PARAMETERS = ("model", "version", "precision", "top_k")
_MAX_VERSION = 10**9
# what clients declare for a raw body; the bytes decide what it is. The form type is curl's for --data-binary.
_RAW_TYPES = frozenset(
    {b"", b"application/octet-stream", b"application/x-www-form-urlencoded", b"image/png", b"image/jpeg", b"image/webp"}
)


class App:
    """The handlers of one worker, and *more* routes. *phase* says what it is busy with while not ready, else None."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        phase: Callable[[], str | None],
        live: Callable[[], bool],
        more: Sequence[Route] = (),
    ) -> None:
        self._engine = engine
        self._catalog = engine.catalog
        self._settings = settings
        self._phase = phase
        self._live = live
        self.routes: tuple[Route, ...] = (
            Route("/v1/classify", {"POST": self.classify}, takes_body=True, role="classify"),
            Route("/v1/models", {"GET": self.models}, role="classify"),
            Route("/v1/models/{name}", {"GET": self.model}, role="classify"),
            *more,
            Route("/livez", {"GET": self.livez}),
            Route("/readyz", {"GET": self.readyz}),
            Route("/metrics", {"GET": self.metrics_text}),
            *OpenInference(engine, settings, Statistics(lambda: self.metrics), phase).routes,
            *Pages(settings, lambda: self.routes).routes,
        )
        self.metrics = Metrics(self.routes)

    async def classify(self, request: Request) -> Response:
        """POST /v1/classify: one image as the raw body, or several as multipart files."""
        values = parameters.parse(request.query, _PARAMETERS)
        model = self._find(request, values)
        labels = len(model.spec.labels)
        k = min(DEFAULT_TOP_K, labels)
        if "top_k" in values:
            k = parameters.integer("top_k", values["top_k"], 1, labels)
        content_type = request.headers.get(b"content-type", b"")
        several = content_type[:19].lower() == b"multipart/form-data"
        if several:
            files = multipart.parse(content_type, request.body, self._settings.max_images)
        else:
            _require_image_type(content_type)
            files = [request.body]
        classified = await self._engine.classify(files, model, k, request.claim)
        timings = Timings(
            request.read_s, classified.decode_s, classified.queue_s, classified.inference_s, perf_counter()
        )
        if len(files) == 1:
            if isinstance(classified.results[0], Exception):
                raise classified.results[0]
            answer: dict[str, Any] = {"predictions": classified.results[0]}
        else:
            answer = {"results": [_result(result, self.metrics) for result in classified.results]}
        body = to_json({"request_id": request.id, "model": model.identity, **answer})
        return Response(body, headers=[(b"server-timing", timings.header())], timings=timings)

    async def models(self, request: Request) -> Response:
        """GET /v1/models: what is served, in short, and what should be and is not."""
        parameters.parse(request.query, ())
        return Response(to_json({"models": [self._summary(name) for name in self._names()]}))

    async def model(self, request: Request) -> Response:
        """GET /v1/models/{name}: spec, labels, quality and where the active version runs."""
        parameters.parse(request.query, ())
        name = request.params["name"]
        if name not in self._names():
            raise UnknownModel(f"no model {quoted(name)} is served")
        summary = self._summary(name)
        if name in self._catalog.lineups:
            spec = self._catalog.lineups[name].active.spec.model_dump(mode="json")
            summary |= {"labels": spec["labels"], "spec": spec}
        return Response(to_json(summary))

    def _find(self, request: Request, values: dict[str, str]) -> ServedModel:
        version = values.get("version")
        return self._catalog.find(
            values.get("model"),
            None if version is None else parameters.integer("version", version, 1, _MAX_VERSION),
            values.get("precision"),
            request.headers.get(b"x-client-id"),
        )

    def _names(self) -> list[str]:
        return sorted({state.name for state in self._catalog.index()})

    def _summary(self, name: str) -> dict[str, Any]:
        states = self._catalog.index([name])
        lineup = self._catalog.lineups.get(name)
        versions = [
            {key: value for key, value in state._asdict().items() if key != "name" and value != ""} for state in states
        ]
        if lineup is None:
            return {"name": name, "state": "UNAVAILABLE", "versions": versions}
        canary = {} if lineup.canary is None else {"canary_percent": lineup.canary.percent}
        return {**_description(lineup.active), "state": "READY", **canary, "versions": versions}

    async def livez(self, request: Request) -> Response:
        """GET /livez: the event loop turns and no device is stuck; else this worker is about to end itself."""
        if not self._live():
            raise NotReady("stuck: this worker is about to end", retry_after_s=_RESTART_S)
        return Response(b'{"live":true}')

    async def readyz(self, request: Request) -> Response:
        """GET /readyz: 200 when requests are welcome here, else 503 with the phase."""
        phase = self._phase()
        if phase is not None:
            raise NotReady(f"not ready: {phase}", retry_after_s=1)
        return Response(b'{"ready":true}')

    async def metrics_text(self, request: Request) -> Response:
        """GET /metrics: all workers' metrics in Prometheus' text format."""
        text = await asyncio.to_thread(self.metrics.render)
        return Response(text, content_type=b"text/plain; version=0.0.4; charset=utf-8")


def _require_image_type(content_type: bytes) -> None:
    if content_type in _RAW_TYPES:
        return
    media_type = content_type.partition(b";")[0].strip().lower()
    if media_type not in _RAW_TYPES and not media_type.startswith(b"image/"):
        raise UnsupportedMediaType(
            "this content type is not accepted; send image/*, application/octet-stream or multipart/form-data"
        )


def _result(result: Any, metrics: Metrics) -> dict[str, Any]:
    if not isinstance(result, Refusal):
        return {"predictions": result}
    metrics.reject(result.code)
    return {"error": str(result), "code": result.code}


def _description(model: ServedModel) -> dict[str, Any]:
    loaded, spec = model.loaded, model.spec
    return {
        "name": spec.name,
        "version": spec.version,
        "precision": loaded.precision,
        "sha256": loaded.sha256,
        "provider": loaded.session.placement.provider,
        "nodes": loaded.session.placement.nodes,
        "classes": len(spec.labels),
        "quality": None if spec.quality is None else spec.quality.model_dump(),
    }
