"""The routes that change what is served. An answer means that every worker has followed; its body is the new plan."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import to_json

from models.store import Precision
from service import fields, parameters
from service.errors import UnknownModel, quoted
from service.http import FEW_BYTES, Handler, Request, Response, Route
from service.rollout import edits
from service.rollout.control import Control, PlanEdit
from service.rollout.deployment import CanaryPlan, Extra, ServingPlan, ShadowPlan, Version

Body = TypeVar("Body", bound=BaseModel)


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Load(_Body):
    """The model again, or one more version of it beside the active one."""

    version: Version | None = None
    precision: Precision = "fp32"


class Unload(_Body):
    """The model, or one version of it that has no role."""

    version: Version | None = None


class Promote(_Body):
    """The version that becomes active."""

    version: Version


class Nothing(_Body):
    """No fields."""


def _describe_as_boolean(schema: dict[str, Any]) -> None:
    """Take null out of a JSON schema: None only stands for a field that was not given."""
    del schema["anyOf"], schema["default"]
    schema["type"] = "boolean"


class Configure(ServingPlan):
    """Fields of the plan that say how the model is served; those that are given are changed, null is the settings'."""

    follow_latest: bool | None = Field(default=None, json_schema_extra=_describe_as_boolean)

    @model_validator(mode="after")
    def _not_null(self) -> "Configure":
        if "follow_latest" in self.model_fields_set and self.follow_latest is None:
            raise ValueError("follow_latest cannot be null")
        return self


class Admin:
    """The handlers; each changes the plan of one model."""

    def __init__(self, control: Control) -> None:
        self._control = control
        changes: dict[str, Callable[[Request], Awaitable[Response]]] = {
            "load": self.load,
            "unload": self.unload,
            "promote": self.promote,
            "rollback": self.roll_back,
            "configure": self.configure,
        }
        self.routes = (
            *(_route(verb, {"POST": handler}) for verb, handler in changes.items()),
            *(
                _route(what, {"POST": begin, "DELETE": end})
                for what, begin, end in (
                    ("canary", self.begin_canary, self.end_canary),
                    ("shadow", self.begin_shadow, self.end_shadow),
                )
            ),
            Route("/v1/models/{name}/trial", {"GET": self.trial}, role="classify"),
            Route("/v1/deployment", {"GET": self.deployment}, role="admin"),
        )

    async def load(self, request: Request) -> Response:
        """POST /v1/models/{name}/load: serve the model again, or one more version of it."""
        body = _parse(Load, request)
        extra = None if body.version is None else Extra(version=body.version, precision=body.precision)
        what = "load" if extra is None else f"load version {extra.version} ({extra.precision})"
        return await self._change(request, lambda plan: edits.load(plan, extra), what)

    async def unload(self, request: Request) -> Response:
        """POST /v1/models/{name}/unload: serve the model, or a version of it, no longer."""
        version = _parse(Unload, request).version
        what = "unload" if version is None else f"unload version {version}"
        return await self._change(request, lambda plan: edits.unload(plan, version), what)

    async def promote(self, request: Request) -> Response:
        """POST /v1/models/{name}/promote: make a version the active one."""
        version = _parse(Promote, request).version
        return await self._change(request, lambda plan: edits.promote(plan, version), f"promote version {version}")

    async def roll_back(self, request: Request) -> Response:
        """POST /v1/models/{name}/rollback: make the version active that was before."""
        _parse(Nothing, request)
        return await self._change(request, edits.roll_back, "rollback")

    async def configure(self, request: Request) -> Response:
        """POST /v1/models/{name}/configure: precision, batching, queue, device, whether to follow the store."""
        changes = _parse(Configure, request).model_dump(exclude_unset=True)
        return await self._change(request, lambda plan: edits.configure(plan, changes), f"configure {changes}")

    async def begin_canary(self, request: Request) -> Response:
        """POST /v1/models/{name}/canary: send a share of the requests to another version."""
        canary = _parse(CanaryPlan, request)
        what = f"canary version {canary.version} at {canary.percent:g}%"
        return await self._change(request, lambda plan: edits.set_canary(plan, canary), what)

    async def end_canary(self, request: Request) -> Response:
        """DELETE /v1/models/{name}/canary: send all requests to the active version."""
        return await self._change(request, lambda plan: edits.set_canary(plan, None), "end canary")

    async def begin_shadow(self, request: Request) -> Response:
        """POST /v1/models/{name}/shadow: compare another version's answers with the active one's."""
        shadow = _parse(ShadowPlan, request)
        what = f"shadow version {shadow.version}"
        return await self._change(request, lambda plan: edits.set_shadow(plan, shadow), what)

    async def end_shadow(self, request: Request) -> Response:
        """DELETE /v1/models/{name}/shadow: compare no longer."""
        return await self._change(request, lambda plan: edits.set_shadow(plan, None), "end shadow")

    async def trial(self, request: Request) -> Response:
        """GET /v1/models/{name}/trial: the figures of its canary and shadow, of all workers since the start."""
        parameters.parse(request.query, ())
        name = request.params["name"]
        lineup = self._control.catalog.lineups.get(name)
        if lineup is None:
            raise UnknownModel(f"no model {quoted(name)} is served")
        return Response(to_json({"name": name, "roles": await self._control.trials.figures(name, lineup)}))

    async def deployment(self, request: Request) -> Response:
        """GET /v1/deployment: what this worker serves, as its file says it."""
        parameters.parse(request.query, ())
        return Response(to_json(self._control.deployment))

    async def _change(self, request: Request, edit: PlanEdit, what: str) -> Response:
        parameters.parse(request.query, ())
        name = request.params["name"]
        deployment = await self._control.change(name, edit, f"{what}, by request {request.id}")
        return Response(to_json({"name": name, "generation": deployment.generation, "plan": deployment.models[name]}))


def _route(what: str, handlers: dict[str, Handler]) -> Route:
    return Route(f"/v1/models/{{name}}/{what}", handlers, takes_body=True, max_body_bytes=FEW_BYTES, role="admin")


def _parse(kind: type[Body], request: Request) -> Body:
    """Return the request's JSON body, an empty one being `{}`; raises `BadJson` or `BadParameter`."""
    return fields.parse(kind, request.body or b"{}")
