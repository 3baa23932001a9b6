"""service/openapi: the document says what the table of routes says, and is OpenAPI 3.1."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from service import __version__
from service.errors import STATUS
from service.openapi.document import OPERATIONS, build, error_codes, meanings
from service.settings import Settings
from service.worker import Worker
from tests.asgi import request

ROOT = Path(__file__).resolve().parents[3]
# answered by the protocol before a route is known, or for paths and methods that there are not
OF_NO_ROUTE = {"method", "headers"}


@pytest.fixture(scope="module")
def worker() -> Worker:
    """The table of routes; nothing is started."""
    return Worker(Settings())


def document(worker: Worker, **settings: Any) -> dict[str, Any]:
    """Its document."""
    return build(worker.routes, Settings(**settings))


def test_each_route_is_in_the_document_and_each_operation_is_a_route(worker: Worker) -> None:
    """By method and template; a new route is described in a table of `service/openapi`."""
    routes = {(method, route.template) for route in worker.routes for method in route.handlers}

    assert set(OPERATIONS) == routes
    described = {(method.upper(), path) for path, methods in document(worker)["paths"].items() for method in methods}
    assert described == routes


def test_the_document_is_openapi_3_1(worker: Worker, tmp_path: Path) -> None:
    """With keys and without, every reference resolved, every operation named once."""
    for settings in ({}, {"keys_file": tmp_path, "path_prefix": "/vision"}):
        made = document(worker, **settings)
        OpenAPIV31SpecValidator(made).validate()
        ids = [one["operationId"] for methods in made["paths"].values() for one in methods.values()]
        assert len(ids) == len(set(ids))


def test_every_error_code_is_documented_where_it_can_happen(worker: Worker) -> None:
    """With what it means; none is left over."""
    codes: set[str] = set()
    for route in worker.routes:
        for method in route.handlers:
            codes |= set(error_codes(route, OPERATIONS[method, route.template]))

    assert set(STATUS) - codes <= OF_NO_ROUTE, "codes that no operation names in service/openapi"
    assert all(meanings().values())


def test_keys_are_in_the_document_when_they_are_asked_for(worker: Worker, tmp_path: Path) -> None:
    """On routes that have a role, and not on health."""
    paths = document(worker, keys_file=tmp_path)["paths"]

    assert paths["/v1/classify"]["post"]["security"] == [{"bearer": []}, {"key": []}]
    assert "security" not in paths["/livez"]["get"]
    assert "security" not in document(worker)["paths"]["/v1/classify"]["post"]


def test_the_prefix_is_the_server(worker: Worker) -> None:
    """So that clients made from the document find it behind the proxy."""
    assert document(worker, path_prefix="/vision")["servers"] == [{"url": "/vision"}]
    assert document(worker)["servers"] == [{"url": "/"}]


def test_the_version_is_the_package_s() -> None:
    """Bentos have no package metadata to read it from."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert __version__ == project["version"]


async def test_the_document_and_its_page_are_served(worker: Worker) -> None:
    """As one."""
    answer = await request(worker.guard, "GET", "/openapi.json")

    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == document(worker)
    page = await request(worker.guard, "GET", "/docs")
    assert page.headers["content-type"].startswith("text/html")
    for name in re.findall(r'"static/([^"]+)"', page.body.decode()):
        assert (await request(worker.guard, "GET", f"/static/{name}")).status == 200, name
