"""The model repository extension: which versions there are, whether they serve, and loading and unloading models.

Source: Triton's extension_model_repository.md. There is one repository, the model store; its name does not matter.
Versions never change, so that loading what is loaded already does nothing. Both faces of a model come and go together.
"""

from typing import Any

from pydantic_core import from_json, to_json

from models.spec import IMAGE_SUFFIX
from service.catalog import Catalog
from service.errors import InvalidRequest, Unsupported
from service.http import FEW_BYTES, Handler, Request, Response, Role, Route
from service.rollout import edits
from service.rollout.control import Control, PlanEdit


class Repository:
    """The handlers; an answer to load and unload means that every worker has followed."""

    def __init__(self, catalog: Catalog, control: Control) -> None:
        self._catalog = catalog
        self._control = control
        verbs: tuple[tuple[str, Handler, Role], ...] = (
            ("/index", self.index, "classify"),
            ("/models/{name}/load", self.load, "admin"),
            ("/models/{name}/unload", self.unload, "admin"),
        )
        self.routes = tuple(
            Route(base + path, {"POST": handler}, takes_body=True, max_body_bytes=FEW_BYTES, role=role)
            for base in ("/v2/repository", "/v2/repository/{repository}")
            for path, handler, role in verbs
        )

    async def index(self, request: Request) -> Response:
        """POST …/index: both faces of every version with its state; with `{"ready": true}`, those that serve."""
        only_ready = _object(request.body).get("ready", False)
        if type(only_ready) is not bool:
            raise InvalidRequest("ready: must be true or false")
        lines = [
            {"name": state.name + suffix, "version": str(state.version), "state": state.state, "reason": state.reason}
            for state in self._catalog.index()
            if state.state == "READY" or not only_ready
            for suffix in ("", IMAGE_SUFFIX)
        ]
        return Response(to_json(lines))

    async def load(self, request: Request) -> Response:
        """POST …/models/{name}/load: serve the model again."""
        given = _parameters(request.body)
        if overrides := [name for name in given if name == "config" or name.startswith("file:")]:
            raise Unsupported(f"parameter {overrides[0][:64]!r}: what a model is cannot be overridden on loading it")
        return await self._change(request, lambda plan: edits.load(plan, None), "load")

    async def unload(self, request: Request) -> Response:
        """POST …/models/{name}/unload: serve the model no longer. Nothing depends on it but its other face."""
        if type(_parameters(request.body).get("unload_dependents", False)) is not bool:
            raise InvalidRequest("unload_dependents: must be true or false")
        return await self._change(request, lambda plan: edits.unload(plan, None), "unload")

    async def _change(self, request: Request, edit: PlanEdit, what: str) -> Response:
        name = request.params["name"].removesuffix(IMAGE_SUFFIX)
        await self._control.change(name, edit, f"{what}, by request {request.id}")
        return Response(b"{}")


def _parameters(body: bytes) -> dict[str, Any]:
    parameters = _object(body).get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise InvalidRequest("parameters: must be an object")
    return parameters


def _object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body, which may be empty."""
    if not body:
        return {}
    try:
        content = from_json(body)
    except ValueError as error:
        raise InvalidRequest("the body is no JSON") from error
    if not isinstance(content, dict):
        raise InvalidRequest("the body is no JSON object")
    return content
