"""One worker process: what it is made of, and its life from start to stop. Knows no BentoML."""

import asyncio
import gc
import logging
import tempfile
from pathlib import Path

from models.errors import ModelError
from models.store import ModelStore
from service import hosting, lifecycle, logs
from service.access import side_port, tls
from service.access.front import in_front
from service.app import App
from service.batcher import Batcher
from service.catalog import Lineup, ServedModel
from service.connections import Connections, HttpLimits
from service.drain import Drain
from service.engine import Engine
from service.guard import Guard
from service.lifecycle import Choice, Loaded
from service.metrics import Metrics, ModelMetrics
from service.protocol import Connection
from service.settings import Settings

logger = logging.getLogger("convserve.worker")


class Worker:
    """The parts of a worker, wired."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engine = Engine(settings.decode_limits, settings.threads_per_worker)
        self._drain = Drain(settings)
        self._phase: str | None = "starting"
        self._app = App(self._engine, settings, self.phase)
        self._metrics = self._app.metrics
        self._loading: asyncio.Task[None] | None = None
        routes = side_port.main_routes(self._app.routes, settings)
        self.guard = Guard(routes, self._metrics, settings, lambda: self._drain.draining)
        self.application = in_front(self.guard, settings)
        self._side_port: asyncio.Server | None = None

    def phase(self) -> str | None:
        """Return what keeps this worker from being ready, None if nothing does."""
        return "draining" if self._drain.draining else self._phase

    async def start(self) -> None:
        """Begin to load in a thread and return, so that the port opens and health can be asked for.

        A worker that joins others returns only when it is ready: as soon as it accepts, it takes requests from them.
        Raises `RuntimeError` when it cannot be; it is then started again, and the others serve on.
        """
        logs.configure()
        server = hosting.uvicorn_server()
        if server is not None:
            self._drain.take_over(server)
            loop = asyncio.get_running_loop()
            limits = HttpLimits(body_timeout_s=self._settings.body_timeout_s, keep_alive_s=self._settings.keep_alive_s)
            connections = Connections(server.server_state, self.application, limits, loop)
            connections.start()
            server.config.ssl = tls.context(self._settings)
            scraped = Guard(
                side_port.side_routes(self._app.routes), self._metrics, self._settings, lambda: self._drain.draining
            )
            self._side_port = await side_port.listen(scraped, server.server_state, self._settings)
            # uvicorn passes its own configuration and state, which ours has or does not need
            server.config.http_protocol_class = lambda **_: Connection(connections)
        folder = self._settings.metrics_dir or Path(tempfile.mkdtemp(prefix="convserve-metrics-"))
        others = self._metrics.start(folder)
        self._loading = asyncio.create_task(self._load())
        if others:
            await self._loading
            if self._phase is not None:
                raise RuntimeError(f"this worker cannot join the others: {self._phase}")

    async def stop(self) -> None:
        """Answer what was admitted and end the threads."""
        self._phase = "stopped"
        if self._side_port is not None:
            self._side_port.close()
        if self._loading is not None:
            self._loading.cancel()
        await self._engine.stop(self._settings.drain_grace_s)

    async def _load(self) -> None:
        store = ModelStore(self._settings.model_store)
        try:
            choices = lifecycle.choose(store)
            default = lifecycle.default_name(choices, self._settings)
            lineups = {}
            for choice in choices:
                self._phase = f"loading {choice.name} version {choice.version}"
                loaded = await asyncio.to_thread(lifecycle.load, store, choice, self._settings)
                self._phase = f"warming up {choice.name} version {choice.version}"
                await asyncio.to_thread(lifecycle.warm_up, loaded, self._settings.max_batch_size)
                lineups[choice.name] = Lineup.of(await self._serve(choice, loaded))
        except ModelError as error:
            self._phase = f"failed: {error}"
            logger.error("%s", error)  # noqa: TRY400 (the line says it all)
            return
        except Exception:  # of a task that nobody awaits
            self._phase = "failed to load"
            logger.exception("loading failed")
            return
        gc.collect()
        gc.freeze()  # what lives from here to the end is not looked at again by every full collection
        self._engine.catalog.serve(lineups, default)
        self._phase = None
        self._metrics.ready.set(1)

    async def _serve(self, choice: Choice, loaded: Loaded) -> ServedModel:
        placement = loaded.session.placement
        logger.info(
            "%s version %d (%s) on %s: nodes %s, loaded in %.2f s",
            *(choice.name, choice.version, loaded.precision, placement.provider, placement.nodes, loaded.load_s),
        )
        self._metrics.model_info(choice.name, choice.version, loaded.precision, placement.provider, loaded.sha256)
        batcher = Batcher(
            loaded.session.run,
            _Observer(self._metrics, self._metrics.model(choice.name, choice.version)),
            max_batch_size=self._settings.max_batch_size,
            max_wait_ms=self._settings.max_wait_ms,
            room=self._settings.room,
            # with one core for everything, a thread of its own would only take turns with the loop
            in_loop=loaded.light and self._settings.threads_per_worker == 1,
            gathers=placement.provider == "cpu" and not loaded.light,
        )
        await batcher.start()
        return ServedModel(loaded, batcher)


class _Observer:
    """Writes what happens in a batcher into the metrics of its model."""

    def __init__(self, metrics: Metrics, model: ModelMetrics) -> None:
        self._metrics = metrics
        self._model = model

    def depth(self, waiting: int) -> None:
        self._model.queue_depth.set(waiting)

    def batch(self, size: int) -> None:
        self._model.images.add(size)
        self._model.batch_size.observe(size)

    def abandoned(self, stage: str) -> None:
        self._metrics.cancelled[stage].add()

    def failed(self, size: int) -> None:
        self._metrics.internal_errors["inference"].add(size)
