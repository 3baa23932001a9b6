"""The table of the Open Inference Protocol v2: the same operations on a model and on one version of it."""

from pydantic import BaseModel

from service.openapi import oip_shapes as shapes
from service.openapi.operation import BINARY, JSON, Answer, Operation, Parameter, Schema, Table
from service.openapi.v1 import IMAGE_ERRORS, QUEUEING, TIMING, WORK_ERRORS

_TAG = "Open Inference"
_OCTETS = "application/octet-stream"
_HEADER_LENGTH = "Inference-Header-Content-Length"
_MODELS = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
_REPOSITORIES = ("/v2/repository", "/v2/repository/{repository}")
_SHARED_MEMORY = tuple(
    f"/v2/{kind}sharedmemory/{rest}" for kind in ("system", "cuda") for rest in ("{action}", "region/{region}/{action}")
)
_CHANGE_ERRORS = (
    *("bad_request", "unknown_model", "not_found", "conflict", "unsupported"),
    *("load_failed", "invalid_deployment", "not_applied", "not_ready"),
)


def _get(summary: str, shape: type[BaseModel], *errors: str) -> Operation:
    return Operation(_TAG, summary, {200: Answer("The answer.", {JSON: shape})}, errors=errors)


def _of_model(summary: str, shape: type[BaseModel], *errors: str) -> Operation:
    return _get(summary, shape, "unknown_model", "not_found", "not_ready", *errors)


def _post(summary: str, body: type[BaseModel], answer: type[BaseModel] | Schema, *errors: str) -> Operation:
    answers = {200: Answer("The answer.", {JSON: answer})}
    return Operation(_TAG, summary, answers, body={JSON: body}, body_required=False, errors=errors)


_INFER = Operation(
    _TAG,
    "Infer",
    {
        200: Answer(
            "JSON, or JSON and after it the bytes of the binary outputs.",
            {JSON: shapes.InferResponse, _OCTETS: BINARY},
            {**TIMING, _HEADER_LENGTH: "Where the JSON ends, if bytes follow."},
        )
    },
    "Images as one tensor, or as files for `NAME-image`. With `Inference-Header-Content-Length: 0` the body is one "
    "tensor and nothing else: one image file, or pixels.",
    (
        Parameter(_HEADER_LENGTH, {"type": "integer", "minimum": 0}, "Where the JSON of the body ends.", "header"),
        *QUEUEING,
    ),
    {JSON: shapes.InferRequest, _OCTETS: BINARY},
    errors=(
        *("bad_request", "unknown_model", "not_found", "too_many_images", "unsupported"),
        *(*IMAGE_ERRORS, *WORK_ERRORS),
    ),
)

TABLE: Table = {
    ("GET", "/v2/health/live"): _get("Does the worker answer?", shapes.ServerLive),
    ("GET", "/v2/health/ready"): _get("Are requests welcome?", shapes.ServerReady, "not_ready"),
    ("GET", "/v2"): _get("The server", shapes.ServerMetadata),
    ("GET", "/v2/models/stats"): _get("Statistics of all models", shapes.StatisticsList),
    **{("POST", f"{path}/infer"): _INFER for path in _MODELS},
    **{("GET", path): _of_model("What a model takes and gives", shapes.ModelMetadata) for path in _MODELS},
    **{("GET", f"{path}/ready"): _of_model("Is the model ready?", shapes.ModelReady) for path in _MODELS},
    **{("GET", f"{path}/config"): _of_model("Its configuration", shapes.ModelConfiguration) for path in _MODELS},
    **{("GET", f"{path}/stats"): _of_model("Its statistics", shapes.StatisticsList) for path in _MODELS},
    **{
        ("POST", f"{path}/index"): _post(
            "What versions there are",
            shapes.IndexRequest,
            {"type": "array", "items": shapes.IndexLine},
            "bad_request",
            "not_found",
        )
        for path in _REPOSITORIES
    },
    **{
        ("POST", f"{path}/models/{{name}}/{verb}"): _post(
            f"{verb.capitalize()} a model",
            shapes.RepositoryRequest,
            {"type": "object", "maxProperties": 0},
            *_CHANGE_ERRORS,
        )
        for path in _REPOSITORIES
        for verb in ("load", "unload")
    },
    **{
        (method, path): Operation(_TAG, "Shared memory, which is not offered", {}, errors=("unsupported", "not_found"))
        for path in _SHARED_MEMORY
        for method in ("GET", "POST")
    },
}
