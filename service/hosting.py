"""Finds the uvicorn server that hosts this worker, and puts our protocol and our drain into it.

uvicorn offers no way to do this from inside; its server is the owner of the signal handler that it installs before the
lifespan begins. Everything that we rely on is checked here, so that a change of uvicorn's shape is an error at the
start and not a surprise later.
"""

import logging
import signal
from typing import Any

logger = logging.getLogger("convserve.hosting")

_RELIED_ON = ("config", "server_state", "should_exit", "force_exit", "handle_exit")
_RELIED_ON_IN_CONFIG = ("http_protocol_class", "timeout_graceful_shutdown")
_RELIED_ON_IN_STATE = ("connections", "tasks", "total_requests", "default_headers")


def uvicorn_server() -> Any | None:
    """Return the `uvicorn.Server` that hosts this process, None when another server does.

    Raises `RuntimeError` when it is uvicorn but not as we know it.
    """
    server: Any = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    if type(server).__module__ != "uvicorn.server":
        logger.warning("not hosted by uvicorn: its own protocol and its own way of stopping hold")
        return None
    for owner, names in (
        (server, _RELIED_ON),
        (server.config, _RELIED_ON_IN_CONFIG),
        (server.server_state, _RELIED_ON_IN_STATE),
    ):
        for name in names:
            if not hasattr(owner, name):
                raise RuntimeError(
                    f"uvicorn's {type(owner).__name__} has no {name} any more: hosting.py must be mended"
                )
    return server
