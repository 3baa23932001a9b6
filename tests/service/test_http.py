"""service/http.py."""

import pytest

from service.errors import MethodNotAllowed, NotFound
from service.http import Request, Response, Route, Router, handler_of


async def handler(_: Request) -> Response:
    return Response(b"")


ROUTER = Router(
    [
        Route("/v1/models", {"GET": handler}),
        Route("/v1/models/{name}", {"GET": handler, "POST": handler}),
        Route("/v1/models/{name}/versions/{version}", {"GET": handler}),
    ]
)


@pytest.mark.parametrize(
    ("path", "template", "params"),
    [
        ("/v1/models", "/v1/models", {}),
        ("/v1/models/lenet", "/v1/models/{name}", {"name": "lenet"}),
        ("/v1/models/a.b-c", "/v1/models/{name}", {"name": "a.b-c"}),
        ("/v1/models/x/versions/2", "/v1/models/{name}/versions/{version}", {"name": "x", "version": "2"}),
    ],
)
def test_a_path_finds_its_route(path: str, template: str, params: dict[str, str]) -> None:
    """With what its braces stand for."""
    route, found = ROUTER.find(path)

    assert (route.template, found) == (template, params)


@pytest.mark.parametrize("path", ["", "/", "/v1/models/", "/v1/models/a/b", "/v1xmodels", "/v1/models\n"])
def test_other_paths_are_not_found(path: str) -> None:
    """No guessing at slashes."""
    with pytest.raises(NotFound):
        ROUTER.find(path)


def test_methods_are_those_of_the_table() -> None:
    """HEAD goes with GET; the refusal names what is allowed."""
    route, _ = ROUTER.find("/v1/models/x")

    assert handler_of(route, "GET") is handler_of(route, "HEAD") is handler
    with pytest.raises(MethodNotAllowed, match="method DELETE is not allowed here; allowed: GET, HEAD, POST"):
        handler_of(route, "DELETE")
