"""The routes of the Open Inference Protocol v2 over REST: what is served, whether it is ready, what it has done."""

import asyncio
from collections.abc import Callable
from typing import Any

from pydantic_core import to_json

from service import __version__
from service.engine import Engine
from service.errors import NotReady, Unsupported
from service.http import Handler, Request, Response, Route
from service.oip import config
from service.oip.faces import Faces
from service.oip.infer import Infer
from service.oip.statistics import Statistics
from service.settings import Settings

EXTENSIONS = (
    "classification",
    "model_repository",
    "schedule_policy",
    "model_configuration",
    "binary_tensor_data",
    "parameters",
    "statistics",
)
_MODEL = "/v2/models/{name}"
_VERSION = "/v2/models/{name}/versions/{version}"


class OpenInference:
    """The handlers. *phase* says what keeps the worker from being ready, None if nothing does."""

    def __init__(
        self, engine: Engine, settings: Settings, statistics: Statistics, phase: Callable[[], str | None]
    ) -> None:
        self._catalog = engine.catalog
        self._settings = settings
        self._statistics = statistics
        self._phase = phase
        self._faces = Faces(engine.catalog, settings.max_images)
        self.routes = (
            *_both("/infer", {"POST": Infer(engine, self._faces, settings, statistics)}, takes_body=True),
            *_both("", {"GET": self.model}),
            *_both("/ready", {"GET": self.model_ready}),
            *_both("/config", {"GET": self.config}),
            *_both("/stats", {"GET": self.model_statistics}),
            Route("/v2/models/stats", {"GET": self.statistics}, role="classify"),
            Route("/v2", {"GET": self.server}, role="classify"),
            Route("/v2/health/live", {"GET": self.live}),
            Route("/v2/health/ready", {"GET": self.ready}),
            *(
                Route(f"/v2/{kind}sharedmemory/{rest}", {"GET": self.unsupported, "POST": self.unsupported})
                for kind in ("system", "cuda")
                for rest in ("{action}", "region/{region}/{action}")
            ),
        )

    async def live(self, request: Request) -> Response:
        """GET /v2/health/live: the event loop turns."""
        return Response(b'{"live":true}')

    async def ready(self, request: Request) -> Response:
        """GET /v2/health/ready: 200 when requests are welcome here, else 503 with the phase."""
        self._require_ready()
        return Response(b'{"ready":true}')

    async def server(self, request: Request) -> Response:
        """GET /v2: name, version and the extensions that are spoken."""
        return _json({"name": "convserve", "version": __version__, "extensions": EXTENSIONS})

    async def model(self, request: Request) -> Response:
        """GET /v2/models/{name}: what the model takes and gives, and its versions; of one version, that one."""
        face = self._faces.named(**request.params)
        versions = [face.model.spec.version] if "version" in request.params else self._faces.versions(face.name)
        return _json(face.describe(versions))

    async def model_ready(self, request: Request) -> Response:
        """GET …/ready: 200 when the model answers requests, else 503."""
        self._require_ready()
        face = self._faces.named(**request.params)
        return _json({"name": face.name, "ready": True})

    async def config(self, request: Request) -> Response:
        """GET …/config: the model configuration."""
        face = self._faces.named(**request.params)
        return _json(config.describe(face, self._faces.versions(face.name), self._settings))

    async def statistics(self, request: Request) -> Response:
        """GET /v2/models/stats: what every version has done."""
        describe = await asyncio.to_thread(self._statistics.read)
        served = [(state.name, state.version) for state in self._catalog.index() if state.state == "READY"]
        return _json({"model_stats": [describe(*model) for model in served]})

    async def model_statistics(self, request: Request) -> Response:
        """GET …/stats: what one model, or one version of it, has done; both of its faces."""
        face = self._faces.named(**request.params)
        name, version = face.model.spec.name, face.model.spec.version
        versions = [version] if "version" in request.params else self._faces.versions(face.name)
        describe = await asyncio.to_thread(self._statistics.read)
        return _json({"model_stats": [{**describe(name, number), "name": face.name} for number in versions]})

    async def unsupported(self, request: Request) -> Response:
        """Refuse what clients may try and is not advertised."""
        raise Unsupported("shared memory is not offered; send tensors as JSON or binary data")

    def _require_ready(self) -> None:
        phase = self._phase()
        if phase is not None:
            raise NotReady(f"not ready: {phase}", retry_after_s=1)


def _both(path: str, handlers: dict[str, Handler], *, takes_body: bool = False) -> tuple[Route, Route]:
    """Return the routes of a model's *path*, with and without a version."""
    return tuple(  # type: ignore[return-value]
        Route(base + path, handlers, takes_body=takes_body, takes_encoded=takes_body, role="classify")
        for base in (_MODEL, _VERSION)
    )


def _json(content: Any) -> Response:
    return Response(to_json(content))
