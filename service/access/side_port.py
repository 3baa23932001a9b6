"""A port of its own for what scrapers and probes ask, so that the service's port can be open to others than them."""

import asyncio
from collections.abc import Sequence
from typing import Any

from service.connections import Connections, HttpLimits
from service.exchange import Application
from service.http import Route
from service.protocol import Connection
from service.settings import Settings

METRICS = "/metrics"
TEMPLATES = frozenset({METRICS, "/livez", "/readyz"})


def main_routes(routes: Sequence[Route], settings: Settings) -> Sequence[Route]:
    """Return what the service's own port offers."""
    return [route for route in routes if settings.metrics_port is None or route.template != METRICS]


def side_routes(routes: Sequence[Route]) -> Sequence[Route]:
    """Return what the port of its own offers."""
    return [route for route in routes if route.template in TEMPLATES]


async def listen(application: Application, state: Any, settings: Settings) -> asyncio.Server | None:
    """Listen as the settings say; *state* is uvicorn's. Each worker does: any of them answers for all."""
    if settings.metrics_port is None:
        return None
    connections = Connections(state, application, HttpLimits(), asyncio.get_running_loop())
    connections.start()
    return await asyncio.get_running_loop().create_server(
        lambda: Connection(connections), settings.metrics_host, settings.metrics_port, reuse_port=True
    )
