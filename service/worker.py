"""One worker process: what it is made of, and its life from start to stop. Knows no BentoML."""

import asyncio
import gc
import logging
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import ModelError
from service import families, hosting, logs
from service.access import side_port, tls
from service.access.front import in_front
from service.app import App
from service.balance import Balance, Place
from service.batcher import Batcher
from service.cache import Cache
from service.catalog import ServedModel
from service.connections import Connections
from service.decoder import Decoder
from service.drain import Drain
from service.engine import Engine
from service.gpu import Gpus
from service.guard import Guard
from service.health import Health
from service.lifecycle import Loaded
from service.machine import Machine
from service.model_observer import ModelObserver
from service.oip.repository import Repository
from service.protocol import Connection
from service.records.records import Records
from service.rollout.admin import Admin
from service.rollout.control import Control
from service.rollout.trials import Trials
from service.rollout.versions import Limits
from service.rollout.watch import Watch
from service.settings import Settings
from service.ui.preview import Preview
from service.watchdog import Watchdog

if TYPE_CHECKING:
    from service.tracing import Tracing

logger = logging.getLogger("convserve.worker")
_LAST_WORDS_S = 1.0  # for the log, on leaving

_GARBAGE = 20_000  # new objects before the collector looks: requests leave no cycles, and looking costs each of them 4%


class Worker:
    """The parts of a worker, wired."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        decoder = Decoder(settings.decode_limits, settings.decodes, settings.max_request_pixels, self._count_pixels)
        cache = Cache(settings.cache_entries, self._count_cached) if settings.cache_entries else None
        self._engine = Engine(decoder, cache)
        self._drain = Drain(settings)
        self._watchdog = Watchdog(settings.device_timeout_s, self._busy_since, self._count_stuck)
        self._health = Health(self._engine.active_models, settings.max_failures, self._show_ready)
        self._phase: str | None = "starting"
        trials = Trials(self._engine, lambda: self._metrics)
        self.control = Control(settings, self._engine.catalog, self._build, self._count_load, trials)
        repository = Repository(self._engine.catalog, self.control)
        self._records = Records(settings, self._engine.catalog, lambda: self._metrics)
        more = (
            *Preview(self._engine, decoder).routes,
            *Admin(self.control).routes,
            *repository.routes,
            *self._records.routes,
        )
        self._app = App(self._engine, settings, self.phase, self._watchdog.well, more)
        self._metrics = self._app.metrics
        self._tracing = _tracing(settings)
        self._machine = Machine(self._metrics, Gpus())
        self._metrics.series(families.WORKERS_WANTED).set(settings.workers)
        self._loading: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self.routes = side_port.main_routes(self._app.routes, settings)
        self.guard = Guard(
            self.routes,
            self._metrics,
            settings,
            lambda: self._drain.draining,
            records=self._records.note,
            tracing=self._tracing,
        )
        self.application = in_front(self.guard, settings)
        self._side_port: asyncio.Server | None = None
        self._balance: Balance | None = None

    def phase(self) -> str | None:
        """Return what keeps this worker from being ready, None if nothing does."""
        if self._drain.draining:
            return "draining"
        if self._watchdog.stuck:
            return "stuck"
        return self._phase or self._health.complaint()

    def _busy_since(self) -> list[float]:
        return [since for model in self._engine.models() if (since := model.batcher.busy_since) is not None]

    def _count_stuck(self) -> None:
        self._metrics.internal_errors["inference"].add()

    def _show_ready(self) -> None:
        self._metrics.ready.set(float(self.phase() is None))

    async def start(self, place: Place | None = None) -> None:
        """Begin to load in a thread and return, so that the port opens and health can be asked for.

        A worker that joins others returns only when it is ready: as soon as it accepts, it takes requests from them.
        *place* is this worker's among those of its server; without, their connections are not shared out evenly.
        Raises `RuntimeError` when it cannot be; it is then started again, and the others serve on.
        """
        server = hosting.uvicorn_server()
        logs.configure(whole_process=server is not None)
        self._watchdog.start()
        self._health.start()
        if server is not None:
            loop = asyncio.get_running_loop()
            connections = Connections(server.server_state, self.application, self._settings.http_limits, loop)
            connections.start()
            self._drain.take_over(server, connections.leave)
            server.config.ssl = tls.context(self._settings)
            scraped = Guard(
                side_port.side_routes(self._app.routes), self._metrics, self._settings, lambda: self._drain.draining
            )
            self._side_port = await side_port.listen(scraped, server.server_state, self._settings)
            # uvicorn passes its own configuration and state, which ours has or does not need
            server.config.http_protocol_class = lambda **_: Connection(connections)
        folder = self._settings.metrics_dir or Path(tempfile.mkdtemp(prefix="convserve-metrics-"))
        others = self._metrics.start(folder)
        await self._records.start()
        self._machine.start()
        self._loading = asyncio.create_task(self._load())
        if others:
            await self._loading
            if self._phase is not None:
                raise RuntimeError(f"this worker cannot join the others: {self._phase}")
        if server is not None and place is not None and not (self._drain.draining or server.should_exit):
            self._share_out(connections, place)

    def _share_out(self, connections: Connections, place: Place) -> None:
        """Begin to share the connections out among the workers."""
        if self._settings.workers == 1 or self._settings.tls_certificate is not None:
            return  # with TLS, a connection is no longer at its beginning
        most = 2 * self._settings.workers  # a number is not used again while its worker is ending
        try:
            self._balance = Balance(place, most, lambda: Connection(connections), lambda: self.phase() is None)
            self._balance.join()
        except (OSError, ValueError) as error:
            logger.warning("connections are not shared out among the workers: %s", error)
            self._balance = None
        connections.balance = self._balance

    async def stop(self) -> None:
        """Answer what was admitted and end the threads."""
        self._phase = "stopped"
        if self._balance is not None:
            self._balance.close()
        if self._side_port is not None:
            self._side_port.close()
        for task in (self._loading, self._watching):
            if task is not None:
                task.cancel()
        self._health.stop()
        await self._engine.stop(self._settings.drain_grace_s)
        await self.control.stop()
        await self._records.stop(_LAST_WORDS_S)
        await self._machine.stop()
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.stop)
        self._watchdog.stop()
        await asyncio.to_thread(logs.finish, _LAST_WORDS_S)

    async def _load(self) -> None:
        try:
            await self.control.start(self._say)
        except ModelError as error:
            self._phase = f"failed: {error}"
            logger.error("%s", error)  # noqa: TRY400 (the line says it all)
            return
        except Exception:  # of a task that nobody awaits
            self._phase = "failed to load"
            logger.exception("loading failed")
            return
        gc.collect()
        gc.set_threshold(_GARBAGE, 20, 20)
        gc.freeze()  # what lives from here to the end is not looked at again by every full collection
        self._phase = None
        self._show_ready()
        self._watch = Watch(self.control)
        self._watching = asyncio.create_task(self._watch.run())

    def _say(self, phase: str) -> None:
        self._phase = phase

    def _count_pixels(self, pixels: int) -> None:
        self._metrics.input_pixels.observe(pixels)

    def _count_cached(self, result: str, images: int) -> None:
        self._metrics.series(families.CACHE, result).add(images)

    def _count_load(self, name: str, outcome: str) -> None:
        self._metrics.model_load(name, outcome)

    async def _build(self, loaded: Loaded, limits: Limits) -> ServedModel:
        """Put a queue before what was loaded."""
        spec, placement = loaded.session.spec, loaded.session.placement
        logger.info(
            "%s version %d (%s) on %s: nodes %s, loaded in %.2f s",
            *(spec.name, spec.version, loaded.precision, placement.provider, placement.nodes, loaded.load_s),
        )
        info = self._metrics.model_info(spec.name, spec.version, loaded.precision, placement.provider, loaded.sha256)
        observer = ModelObserver(self._metrics, loaded, self._settings)
        batcher = Batcher(
            observer.looked_at(loaded.session.run),
            observer,
            max_batch_size=limits.max_batch_size,
            max_wait_ms=limits.max_wait_ms,
            room=replace(self._settings.room, capacity=limits.queue_capacity),
            # with one core for everything, a thread of its own would only take turns with the loop
            in_loop=loaded.light and self._settings.threads_per_worker == 1,
            light=loaded.light and placement.provider == "cpu",
            gathers=placement.provider == "cpu" and not loaded.light,
        )
        await batcher.start()
        info.add()
        return ServedModel(loaded, batcher, info)


def _tracing(settings: Settings) -> "Tracing | None":
    """Return what makes spans, None where none are asked for: then the libraries are not loaded either."""
    if settings.traces_endpoint is None:
        return None
    from service.tracing import Tracing  # noqa: PLC0415 (as above)

    return Tracing(settings.traces_endpoint, settings.traces_share)
