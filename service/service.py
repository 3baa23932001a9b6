"""The composition root and the one place that knows BentoML, which packages, hosts the processes and runs the hooks.

`to_asgi` puts our guard in front of BentoML's own stack: every HTTP request is ours, BentoML's application gets the
lifespan events alone (docs/decisions/0002-every-route-in-front-of-bentoml.md).
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import bentoml
from bentoml.exceptions import BentoMLException

from models.errors import ModelError
from service import balance, preflight
from service.access import checks
from service.access.exposure import warn_if_exposed
from service.guard import Receive, Scope, Send
from service.settings import InvalidSettings, read_settings
from service.worker import Worker

try:
    settings = read_settings()
except InvalidSettings as error:
    raise BentoMLException(str(error)) from error
worker = Worker(settings)
_MAX_SOCKET_FOLDER = 98  # of the 107 bytes that Linux takes, before /control


def close_control_ports(folder: str) -> None:
    """Have BentoML's arbiter be controlled through Unix sockets in a folder that is ours alone, not through TCP.

    On TCP, whoever reaches loopback may have it start any command as this user; no password is asked. And its ports are
    picked first and bound later: of servers that start at the same moment, one at times finds its port taken.
    """
    if len(folder) > _MAX_SOCKET_FOLDER:
        raise BentoMLException(f"{folder}: too long for a Unix socket in it; set TMPDIR to a shorter folder")
    from bentoml._internal.utils import circus  # noqa: PLC0415 (of the parent alone, which calls this)

    class Arbiter(circus.Arbiter):
        def __init__(self, *args: Any, **options: Any) -> None:
            sockets = {"endpoint": f"ipc://{folder}/control", "pubsub_endpoint": f"ipc://{folder}/events"}
            super().__init__(*args, **{**options, **sockets})

    circus.Arbiter = Arbiter  # type: ignore[misc]


def _folder_until_exit(prefix: str) -> str:
    folder = tempfile.mkdtemp(prefix=prefix)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class InFront(bentoml.Service[Any]):
    """BentoML's service with our application before it."""

    __slots__ = ()

    def to_asgi(self, is_main: bool = True) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        """Return the application: lifespan to BentoML, everything else to ours."""
        behind = super().to_asgi(is_main=is_main)

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await (behind if scope["type"] == "lifespan" else worker.application)(scope, receive, send)

        return application


@bentoml.service(
    name="convserve",
    service_class=InFront,
    workers=settings.workers,
    metrics={"enabled": False},  # ours are served in front; BentoML's label by raw path
    logging={"access": {"enabled": False}},
)
class ConvServe:
    """Classifies images."""

    @bentoml.on_deployment
    @staticmethod
    def refuse_to_start() -> None:
        """Check everything that is to be served, once, in the parent: a worker that fails is respawned for ever."""
        try:
            checks.check(settings)
            os.environ["CONVSERVE_STATE_DIR"] = str(preflight.check(settings))  # the workers inherit it
        except (ModelError, InvalidSettings) as error:
            raise BentoMLException(str(error)) from error
        close_control_ports(_folder_until_exit("convserve-control-"))
        os.environ[balance.FOLDER] = _folder_until_exit("convserve-balance-")
        if settings.metrics_dir is None:
            os.environ["CONVSERVE_METRICS_DIR"] = _folder_until_exit("convserve-metrics-")  # the workers inherit it

    @bentoml.on_startup
    async def start(self) -> None:
        """Schedule loading; uvicorn opens the port when this returns."""
        number, folder = bentoml.server_context.worker_index, os.environ.get(balance.FOLDER)
        await worker.start(None if number is None or folder is None else balance.Place(Path(folder), number))
        if bentoml.server_context.worker_index in {None, 1}:
            warn_if_exposed(settings)

    @bentoml.on_shutdown
    async def stop(self) -> None:
        """Answer what was admitted."""
        await worker.stop()
