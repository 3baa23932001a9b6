"""The routes: HTTP in and out of the engine. A handler gets a `Request` whose body is read and returns a `Response`."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from pydantic_core import to_json

from models.spec import ModelSpec
from service import parameters
from service.catalog import ServedModel
from service.engine import Engine
from service.errors import NotReady, UnknownModel, quoted
from service.families import THRESHOLD
from service.http import Request, Response, Route
from service.infer import Infer
from service.metrics import Metrics
from service.oip.routes import OpenInference
from service.oip.statistics import Statistics
from service.settings import Settings
from service.ui.pages import Pages

_RESTART_S = 15  # BentoML looks for dead workers every ten seconds


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
            *Infer(engine, settings, self._reject, self._judge).routes,
            Route("/v1/models", {"GET": self.models}, role="classify"),
            Route("/v1/models/{name}", {"GET": self.model}, role="classify"),
            Route("/v1/models/{name}/labels", {"GET": self.labels}, role="classify"),
            *more,
            Route("/livez", {"GET": self.livez}),
            Route("/readyz", {"GET": self.readyz}, probed=True),
            Route("/metrics", {"GET": self.metrics_text}),
            *OpenInference(engine, settings, Statistics(lambda: self.metrics), phase).routes,
            *Pages(settings, lambda: self.routes).routes,
        )
        self.metrics: Metrics = Metrics(self.routes)

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

    async def labels(self, request: Request) -> Response:
        """GET /v1/models/{name}/labels: the labels of the active version, in the order of class_id."""
        parameters.parse(request.query, ())
        lineup = self._catalog.lineups.get(request.params["name"])
        if lineup is None:
            raise UnknownModel(f"no model {quoted(request.params['name'])} is served")
        spec = lineup.active.spec
        return Response(to_json({"name": spec.name, "version": spec.version, "labels": spec.labels}))

    def _reject(self, code: str) -> None:
        self.metrics.reject(code)

    def _judge(self, spec: ModelSpec, abstained: bool) -> None:
        for outcome in ("answered", "abstained"):  # both, so that there is a share from the first image on
            series = self.metrics.series(THRESHOLD, spec.name, str(spec.version), outcome)
            series.add(float((outcome == "abstained") == abstained))

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
