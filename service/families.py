"""The names of all metrics, what they mean, and how the numbers of several workers become one."""

from dataclasses import dataclass
from typing import Literal

SECONDS = (
    *(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0),
)
BATCH_SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)

STAGES = ("read", "decode", "queue", "inference", "respond")
SHARES = (*(tenth / 10 for tenth in range(1, 10)), 0.95, 0.99, 1.0)
PIXELS = (256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0)


@dataclass(frozen=True, slots=True)
class Family:
    """A metric's name without its suffix, and how the numbers of several workers become one.

    The numbers of a *spread* family lie side by side: each takes one of the values that follow the other labels' as its
    last label.
    """

    name: str
    help: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()
    merge: Literal["sum", "min", "max"] = "sum"
    spread: bool = False


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
WORKERS_WANTED = Family(
    "classifier_workers_wanted", "Worker processes that the settings ask for.", "gauge", merge="max"
)
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
CACHE = Family(
    "classifier_cache_images", "Images looked for in the result cache, by what came of it.", "counter", ("result",)
)
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
_VERSION = ("model", "version")
DISPATCHES = Family(
    "classifier_dispatches", "Batches, by why they were run when they were.", "counter", (*_VERSION, "reason")
)
MODEL_NODES = Family(
    "classifier_model_nodes",
    "Nodes of the graph on each execution provider.",
    "gauge",
    (*_VERSION, "precision", "provider"),
    merge="max",
)
INPUT_PIXELS = Family(
    "classifier_input_pixels", "Size of an image as it came, width × height.", "histogram", (), PIXELS
)
# What the answers look like. The classes of a version lie side by side.
PREDICTIONS = Family(
    "classifier_predictions", "Images by the class found most probable.", "counter", (*_VERSION, "class"), spread=True
)
CONFIDENCE = Family("classifier_confidence", "Probability of the class found.", "histogram", _VERSION, SHARES)
MARGIN = Family("classifier_margin", "Its lead over the second class.", "histogram", _VERSION, SHARES)
ENTROPY = Family(
    "classifier_entropy", "Entropy of the probabilities, 1 when all are equal.", "histogram", _VERSION, SHARES
)
BRIGHTNESS = Family(
    "classifier_input_brightness", "Mean of an image's pixels, 1 is white.", "histogram", _VERSION, SHARES
)
DRIFT = Family(
    "classifier_drift_psi",
    "Population stability index of recent images against the test split; above 0.25 is another population.",
    "gauge",
    (*_VERSION, "kind"),
)
THRESHOLD = Family(
    "classifier_threshold_images",
    "Images asked for with a threshold, by whether the class found reached it.",
    "counter",
    (*_VERSION, "outcome"),
)
FEEDBACK = Family("classifier_feedback", "Images whose label was told, by outcome.", "counter", (*_VERSION, "outcome"))
CALIBRATION_ERROR = Family(
    "classifier_feedback_calibration_error", "Expected calibration error of these images.", "gauge", _VERSION
)
RECORDS_DROPPED = Family(
    "classifier_records_dropped", "Records that were not written, for want of time or room.", "counter", ("record",)
)
QUALITY = (
    *(INPUT_PIXELS, PREDICTIONS, CONFIDENCE, MARGIN, ENTROPY, BRIGHTNESS, DRIFT),
    *(THRESHOLD, FEEDBACK, CALIBRATION_ERROR, RECORDS_DROPPED),
)
# Behind these: fading counts and what is expected of them; counts and sums of feedback in bins of confidence.
WINDOW = Family("drift_window", "", "gauge", (*_VERSION, "kind"))
REFERENCE = Family("drift_reference", "", "gauge", (*_VERSION, "kind"), merge="max")
CALIBRATION = Family("feedback_calibration", "", "counter", _VERSION)
CPU_SECONDS = Family("classifier_process_cpu_seconds", "Processor time of the workers.", "counter")
RESIDENT = Family("classifier_process_resident_memory_bytes", "Resident memory of the workers.", "gauge")
OPEN_FILES = Family("classifier_process_open_fds", "Open files and connections of the workers.", "gauge")
GPU_UTILISATION = Family(
    "classifier_gpu_utilization_ratio", "Part of the time that it was busy.", "gauge", ("gpu",), merge="max"
)
GPU_MEMORY = Family("classifier_gpu_memory_used_bytes", "Memory in use, by whomever.", "gauge", ("gpu",), merge="max")
GPU_MEMORY_TOTAL = Family("classifier_gpu_memory_total_bytes", "Memory of the GPU.", "gauge", ("gpu",), merge="max")
BUILD_INFO = Family(
    "classifier_build_info", "Always 1.", "gauge", ("version", "python", "onnxruntime", "bentoml"), merge="max"
)
MACHINE = (CPU_SECONDS, RESIDENT, OPEN_FILES, GPU_UTILISATION, GPU_MEMORY, GPU_MEMORY_TOTAL, BUILD_INFO)
FAMILIES = (
    *(REQUESTS, DURATION, IN_FLIGHT, STAGE, REJECTED, INTERNAL_ERRORS, CANCELLED),
    *(READY, WORKERS, WORKERS_WANTED, IMAGES, BATCH_SIZE, QUEUE_DEPTH, MODEL_INFO, MODEL_LOADS),
    *(DISPATCHES, MODEL_NODES, CACHE),
    *TRIAL,
    *QUALITY,
    *MACHINE,
)
UNSHOWN = (OIP_REQUESTS, OIP_LAST, RUNS, WINDOW, REFERENCE, CALIBRATION)
