"""service/errors.py: every error that can end a request has a status."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import service
from models.errors import InvalidModelFile, ModelError
from service.errors import STATUS, RequestError
from service.guard import Guard
from service.http import Request, Response, Route
from service.metrics import Metrics
from service.settings import Settings
from tests.asgi import request

# these end a start, or a load, of which a request hears as `load_failed`
OF_STARTS = {"invalid_spec", "invalid_model", "provider_unavailable", "unusable_folder"}


def subclasses(base: type[Any]) -> Iterator[type[Any]]:
    """Itself, and all below it."""
    yield base
    for child in base.__subclasses__():
        yield from subclasses(child)


def test_every_code_has_a_status() -> None:
    """Or is of a start."""
    for module in pkgutil.walk_packages(service.__path__, "service."):
        if not module.name.endswith(("__main__", "service.service")):  # they run, or need BentoML
            importlib.import_module(module.name)

    codes = {error.code for base in (RequestError, ModelError) for error in subclasses(base)}

    assert codes - set(STATUS) == OF_STARTS


async def test_an_error_without_a_status_is_a_fault_of_ours() -> None:
    """It is answered like any other bug."""

    async def surprises(_: Request) -> Response:
        raise InvalidModelFile("a secret path")

    routes = (Route("/", {"GET": surprises}),)
    answer = await request(Guard(routes, Metrics(routes), Settings(), lambda: False), "GET", "/")

    assert (answer.status, answer.json()["code"]) == (500, "internal")
    assert answer.json()["error"] == "internal error"
