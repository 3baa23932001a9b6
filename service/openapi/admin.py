"""The table of what changes what is served; each answer means that every worker has followed."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from service.openapi.operation import JSON, Answer, Operation, Table
from service.rollout.admin import Configure, Load, Nothing, Promote, Unload
from service.rollout.deployment import CanaryPlan, Deployment, ModelPlan, ShadowPlan


class Changed(BaseModel):
    """What is to be served under one name, from this generation of the deployment on."""

    model_config = ConfigDict(extra="forbid")

    name: str
    generation: Annotated[int, Field(ge=1)]
    plan: ModelPlan


_PATH = "/v1/models/{name}"
_ERRORS = (
    *("bad_json", "bad_param", "unknown_model", "not_found", "conflict"),
    *("load_failed", "invalid_deployment", "not_applied", "not_ready", "deadline"),
)


def _change(summary: str, body: type[BaseModel] | None, description: str = "", *, required: bool = False) -> Operation:
    return Operation(
        tag="Admin",
        summary=summary,
        description=description,
        body={} if body is None else {JSON: body},
        body_required=required,
        answers={200: Answer("Every worker has followed.", {JSON: Changed})},
        errors=_ERRORS,
    )


TABLE: Table = {
    ("POST", f"{_PATH}/load"): _change(
        "Load a model", Load, "The model again after it was unloaded, or one more version of it beside the active one."
    ),
    ("POST", f"{_PATH}/unload"): _change("Unload a model", Unload, "The model, or one version of it that has no role."),
    ("POST", f"{_PATH}/promote"): _change(
        "Promote a version",
        Promote,
        "The version is loaded, proved with its golden images, warmed up and made active before the answer is sent.",
        required=True,
    ),
    ("POST", f"{_PATH}/rollback"): _change("Roll back", Nothing, "The version that was active before is active again."),
    ("POST", f"{_PATH}/configure"): _change(
        "Change how a model is served", Configure, "What is given is changed; null is what the settings say."
    ),
    ("POST", f"{_PATH}/canary"): _change(
        "Begin a canary", CanaryPlan, "A share of the requests that name no version.", required=True
    ),
    ("DELETE", f"{_PATH}/canary"): _change("End the canary", None),
    ("POST", f"{_PATH}/shadow"): _change(
        "Begin a shadow", ShadowPlan, "Its answers are compared and never returned.", required=True
    ),
    ("DELETE", f"{_PATH}/shadow"): _change("End the shadow", None),
    ("GET", "/v1/deployment"): Operation(
        tag="Admin",
        summary="What is to be served",
        answers={200: Answer("The deployment, of the newest generation here.", {JSON: Deployment})},
        errors=("bad_param",),
    ),
}
