"""The table of `/v1`: classifying, and what is served."""

from service.openapi.answers import (
    ClassifiedOne,
    ClassifiedSeveral,
    EmbeddedOne,
    EmbeddedSeveral,
    Labels,
    ModelDetails,
    ModelList,
    Trial,
)
from service.openapi.feedback import ModelQuality, Told
from service.openapi.operation import BINARY, JSON, Answer, Operation, Parameter, Table
from service.parameters import MAX_VERSION
from service.records.feedback import Label

MODEL = Parameter("model", {"type": "string"}, "Name of a served model; the default one if not given.")
VERSION = Parameter(
    "version",
    {"type": "integer", "minimum": 1, "maximum": MAX_VERSION},
    "Version of the model; the active one if not given.",
)
PRECISION = Parameter(
    "precision", {"enum": ["fp32", "fp16", "int8"]}, "Precision of the model; the one in use if not given."
)
CLIENT = Parameter("X-Client-ID", {"type": "string"}, "Equal ones get the same side of a canary.", "header")
TIMEOUT = Parameter(
    "X-Request-Timeout-Ms",
    {"type": "integer", "minimum": 1, "maximum": 999_999_999},
    "Time that the answer is worth waiting for, at most the server's own limit.",
    "header",
)
PRIORITY = Parameter(
    "X-Priority", {"enum": ["high", "normal", "low"]}, "Who goes first; `high` only for those who may.", "header"
)
QUEUEING = (TIMEOUT, PRIORITY, CLIENT)  # headers of whatever goes through a model's queue
TOP_K = Parameter(
    "top_k",
    {"type": "integer", "minimum": 1, "default": 5},
    "Predictions per image, at most the number of classes; by default five or all of fewer.",
)
THRESHOLD = Parameter(
    "threshold",
    {"type": "number", "minimum": 0, "maximum": 1},
    "Below this probability of its best prediction an image is answered with `abstained: true`.",
)
CROPS = Parameter(
    "crops",
    {"enum": [1, 10], "default": 1},
    "Ten: the mean of four corners, the centre, and their mirrors; each takes a place in the queue.",
)
IMAGE = {
    "image/png": BINARY,
    "image/jpeg": BINARY,
    "image/webp": BINARY,
    "application/octet-stream": BINARY,
}
FORM = {
    "multipart/form-data": {
        "type": "object",
        "properties": {"file": {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}},
        "required": ["file"],
        "additionalProperties": False,
    }
}
ENCODED = {
    JSON: {
        "type": "object",
        "properties": {
            "images": {
                "type": "array",
                "items": {"type": "string", "format": "byte", "contentEncoding": "base64"},
                "minItems": 1,
            }
        },
        "required": ["images"],
        "additionalProperties": False,
    }
}
IMAGES = {**IMAGE, **FORM, **ENCODED}
IMAGE_ERRORS = ("media_type", "unidentified", "truncated", "too_many_pixels")
WORK_ERRORS = ("bad_param", "not_ready", "queue_full", "client_limit", "deadline")
_INFER_ERRORS = (
    *("bad_param", "unknown_model", "bad_json", "bad_multipart", "too_many_images"),
    *IMAGE_ERRORS,
    *WORK_ERRORS,
)
TIMING = {"Server-Timing": "Milliseconds of the stages read, decode, queue and inference (W3C Server Timing)."}

TABLE: Table = {
    ("POST", "/v1/classify"): Operation(
        tag="Classify",
        summary="Classify images",
        description="One image as the raw body, or several as files of a form, whatever their fields are called, or as "
        "base64 in JSON. The bytes decide what an image is; what is declared does not. A bad image never fails its "
        "neighbours.",
        parameters=(MODEL, VERSION, PRECISION, TOP_K, THRESHOLD, CROPS, *QUEUEING),
        body=IMAGES,
        answers={
            200: Answer(
                "Predictions, of one image or of each.",
                {JSON: {"anyOf": [ClassifiedOne, ClassifiedSeveral]}},
                TIMING,
            )
        },
        errors=_INFER_ERRORS,
    ),
    ("POST", "/v1/embed"): Operation(
        tag="Classify",
        summary="Embed images",
        description="What the classifier sees of each image, as a vector; of models that were exported with features.",
        parameters=(MODEL, VERSION, PRECISION, CROPS, *QUEUEING),
        body=IMAGES,
        answers={
            200: Answer("Vectors, of one image or of each.", {JSON: {"anyOf": [EmbeddedOne, EmbeddedSeveral]}}, TIMING)
        },
        errors=_INFER_ERRORS,
    ),
    ("POST", "/v1/preprocess"): Operation(
        tag="Classify",
        summary="See what the network sees",
        description="One image as the raw body, decoded and fitted as the model's spec says.",
        parameters=(MODEL, VERSION, *QUEUEING),
        body=IMAGE,
        answers={200: Answer("The exact pixels.", {"image/png": BINARY})},
        errors=("unknown_model", *IMAGE_ERRORS, *WORK_ERRORS),
    ),
    ("POST", "/v1/feedback"): Operation(
        tag="Classify",
        summary="Tell the label of a classified image",
        description="Where a part of the requests is recorded (`CONVSERVE_FEEDBACK`). Telling the same label again "
        "changes nothing.",
        body={JSON: Label},
        answers={200: Answer("The label is on record.", {JSON: Told})},
        errors=("bad_json", "bad_param", "unknown_request", "unknown_label", "unknown_model", "conflict", "deadline"),
    ),
    ("GET", "/v1/models/{name}/quality"): Operation(
        tag="Models",
        summary="What feedback says of a model",
        description="Of each version, on the labels that were told: accuracy, expected calibration error in 15 bins, "
        "and the hundred most frequent pairs of label and prediction.",
        answers={200: Answer("The figures by version.", {JSON: ModelQuality})},
        errors=("bad_param", "unknown_model", "not_found"),
    ),
    ("GET", "/v1/models"): Operation(
        tag="Models",
        summary="List the models",
        description="What is served, and what should be and is not, with the reason.",
        answers={200: Answer("All models.", {JSON: ModelList})},
        errors=("bad_param",),
    ),
    ("GET", "/v1/models/{name}"): Operation(
        tag="Models",
        summary="Describe a model",
        description="Labels, spec and quality of its active version.",
        answers={200: Answer("The model.", {JSON: ModelDetails})},
        errors=("bad_param", "unknown_model", "not_found"),
    ),
    ("GET", "/v1/models/{name}/trial"): Operation(
        tag="Models",
        summary="Figures of a canary and a shadow",
        description="Agreement is the share of images with the active version's class first, divergence the "
        "mean Kullback-Leibler divergence from it, in nats.",
        answers={200: Answer("The figures by role.", {JSON: Trial})},
        errors=("bad_param", "unknown_model", "not_found"),
    ),
    ("GET", "/v1/models/{name}/labels"): Operation(
        tag="Models",
        summary="Labels of a model",
        description="Of its active version, in the order of class_id.",
        answers={200: Answer("The labels.", {JSON: Labels})},
        errors=("bad_param", "unknown_model", "not_found"),
    ),
}
