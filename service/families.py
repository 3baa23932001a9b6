"""The names of all metrics, what they mean, and how the numbers of several workers become one."""

from dataclasses import dataclass
from typing import Literal

SECONDS = (
    *(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0),
)
BATCH_SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)

STAGES = ("read", "decode", "queue", "inference", "respond")


@dataclass(frozen=True, slots=True)
class Family:
    """A metric's name without its suffix, and how the numbers of several workers become one."""

    name: str
    help: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()
    merge: Literal["sum", "min", "max"] = "sum"


REQUESTS = Family("classifier_http_requests", "HTTP requests answered.", "counter", ("route", "method", "code"))
DURATION = Family(
    "classifier_http_request_duration_seconds", "Headers read to answer sent.", "histogram", ("route",), SECONDS
)
IN_FLIGHT = Family("classifier_requests_in_flight", "HTTP requests being answered.", "gauge")
STAGE = Family("classifier_stage_duration_seconds", "Time of one stage, per request.", "histogram", ("stage",), SECONDS)
REJECTED = Family("classifier_rejected", "Requests or images refused, by reason.", "counter", ("reason",))
INTERNAL_ERRORS = Family("classifier_internal_errors", "Failures that are not the client's.", "counter", ("stage",))
CANCELLED = Family("classifier_cancelled", "Requests whose client hung up, by stage.", "counter", ("stage",))
READY = Family("classifier_ready", "1 when every worker is ready to classify.", "gauge", merge="min")
WORKERS = Family("classifier_workers", "Live worker processes.", "gauge")
IMAGES = Family("classifier_images", "Images classified.", "counter", ("model", "version"))
BATCH_SIZE = Family("classifier_batch_size", "Images in one run.", "histogram", ("model", "version"), BATCH_SIZES)
QUEUE_DEPTH = Family("classifier_queue_depth", "Images admitted and not yet running.", "gauge", ("model", "version"))
MODEL_INFO = Family(
    "classifier_model_info",
    "Above 0 for each version that is served.",
    "gauge",
    ("model", "version", "precision", "provider", "sha256"),
    merge="max",
)
MODEL_LOADS = Family(
    "classifier_model_loads", "Versions that were to be loaded, by how it ended.", "counter", ("model", "outcome")
)
# Numbers behind the statistics of the Open Inference Protocol, not of /metrics: what each part of its requests took,
# and how many batches of which size ran for how long.
OIP_REQUESTS = Family("oip_requests", "", "counter", ("model", "version", "part", "what"))
OIP_LAST = Family("oip_last_inference", "", "gauge", ("model", "version"), merge="max")
RUNS = Family("oip_runs", "", "counter", ("model", "version", "size", "what"))
_TRIAL = ("model", "version", "role")
TRIAL_REQUESTS = Family("classifier_trial_requests", "Requests of a model with a canary or shadow.", "counter", _TRIAL)
TRIAL_DURATION = Family(
    "classifier_trial_request_duration_seconds", "Admission to answer, per request.", "histogram", _TRIAL, SECONDS
)
TRIAL_IMAGES = Family("classifier_trial_images", "Images of these requests that were run.", "counter", _TRIAL)
TRIAL_ERRORS = Family("classifier_trial_errors", "Those whose inference failed.", "counter", _TRIAL)
COMPARED = Family("classifier_trial_compared", "Images that the active version has answered too.", "counter", _TRIAL)
AGREED = Family("classifier_trial_agreed", "Compared images with the same class first.", "counter", _TRIAL)
DIVERGENCE = Family(
    "classifier_trial_divergence_nats", "Sum of KL(active ‖ this) over compared images.", "counter", _TRIAL
)
SKIPPED = Family("classifier_trial_skipped", "Images not compared: never idle for long enough.", "counter", _TRIAL)
TRIAL = (TRIAL_REQUESTS, TRIAL_DURATION, TRIAL_IMAGES, TRIAL_ERRORS, COMPARED, AGREED, DIVERGENCE, SKIPPED)
FAMILIES = (
    *(REQUESTS, DURATION, IN_FLIGHT, STAGE, REJECTED, INTERNAL_ERRORS, CANCELLED),
    *(READY, WORKERS, IMAGES, BATCH_SIZE, QUEUE_DEPTH, MODEL_INFO, MODEL_LOADS),
    *TRIAL,
)
UNSHOWN = (OIP_REQUESTS, OIP_LAST, RUNS)
