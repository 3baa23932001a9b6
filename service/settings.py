"""All settings of the service, read once from the environment (`CONVSERVE_…`) and checked; read nowhere else."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from models.preprocess import DEFAULT_FORMATS, DecodeLimits
from models.spec import NAME_PATTERN
from service import cores
from service.admission import RoomLimits
from service.client import Network
from service.connections import HttpLimits

PREFIX = "CONVSERVE_"
CLIENT_NAMES = frozenset({PREFIX + "URL", PREFIX + "KEY"})  # of the command line, which is a client of the service
Provider = Literal["auto", "cuda", "tensorrt", "cpu"]
_Commas = BeforeValidator(
    lambda value: value.replace(" ", "").split(",") if isinstance(value, str) and value else value or ()
)
ExtraFormats = Annotated[frozenset[Literal["BMP", "GIF"]], NoDecode, _Commas]  # "BMP,GIF", not a JSON list
Networks = Annotated[frozenset[Network], NoDecode, _Commas]
Origins = Annotated[
    tuple[Annotated[str, Field(pattern=r"^(\*|https?://[^/\s]+)$")], ...],
    NoDecode,  # "https://a.example,https://b.example"
    BeforeValidator(lambda value: tuple(value.replace(" ", "").split(",")) if isinstance(value, str) else value),
]
Count = Annotated[int, Field(ge=1, le=10**9)]
Time = Annotated[float, Field(gt=0, le=3600)]  # seconds
REPOSITORY = Path(__file__).resolve().parent.parent / "models" / "repository"


class InvalidSettings(ValueError):
    """A setting that does not exist or has an impossible value; the text is one line that names it."""


class Settings(BaseSettings):
    """One field a setting, each with its meaning below it; `docs/configuration.md` has them as a table."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", use_attribute_docstrings=True)

    model_store: Path = REPOSITORY
    """Folder of models, `NAME/VERSION/manifest.json` and what it names."""
    served_name: Annotated[str, Field(pattern=NAME_PATTERN)] | None = None
    """Where the store is the folder of one model, or of one version: the name that it is served under."""
    default_model: str | None = None
    """The model of requests that name none; needed when several are served."""
    provider: Provider = "auto"
    """Execution provider: `auto` takes CUDA where it works and says what it took; the others are taken or refused."""
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Worker processes; on a CPU they share its cores."""
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """CPU threads that one worker computes with; 0 takes cores ÷ workers, and 1 for a model that is light."""

    max_batch_size: Annotated[int, Field(ge=1, le=1024)] = 32
    """Images in one run of the model at most."""
    max_wait_ms: Annotated[float, Field(ge=0, le=10_000)] = 0
    """How long a free device waits for a batch to fill; 0 never waits."""
    queue_capacity: Count = 512
    """Images of one model that may wait; what exceeds it is refused."""
    max_queue_ms: Annotated[float, Field(gt=0, le=3_600_000)] = 2_000
    """How long a new image may have to wait for its turn, as measured; what would wait longer is refused."""
    client_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Part of the queue, in images and in time, that one client may hold while others ask; 1: all of it."""
    request_timeout_s: Time = 10
    """Time from the request's headers to its answer; `X-Request-Timeout-Ms` can only shorten it."""
    trusted_proxies: Networks = frozenset()
    """Networks, with commas, whose `X-Forwarded-For` says who the client is."""

    max_body_bytes: Count = 10 * 2**20
    """Bytes of one request body."""
    header_timeout_s: Time = 10
    """Time for the head of a request to arrive, from the connection or its first byte on."""
    body_timeout_s: Time = 10
    """Time for a whole body to arrive, however steadily it comes."""
    max_images: Annotated[int, Field(ge=1, le=10_000)] = 32
    """Images in one request, whichever way they come."""
    max_pixels: Count = 16_000_000
    """Pixels of one decoded image, width × height."""
    max_draft_pixels: Count = 50_000_000
    """Pixels of a JPEG in one scan that the model's spec lets be decoded at reduced scale, within `max_pixels`."""
    max_request_pixels: Count = 64_000_000
    """Decoded pixels of all images of one request together."""
    decode_threads: Annotated[int, Field(ge=0, le=256)] = 0
    """Images that one worker decodes at the same time; 0 takes as many as its `threads`."""
    extra_formats: ExtraFormats = frozenset()
    """Image formats beside JPEG, PNG and WebP: `BMP`, `GIF` (its first frame) or both with a comma."""

    device_timeout_s: Time = 30
    """A batch, or a turn of the event loop, that takes longer is stuck: `/livez` fails and the worker ends itself."""
    max_failures: Annotated[int, Field(ge=1, le=1_000_000)] = 5
    """Batches in a row without one usable answer after which a model is not ready, until it answers a known image."""
    access_log: Annotated[float, Field(ge=0, le=1)] = 0
    """Part of the answered requests that leave a line in the log; 1 logs each."""

    drain_delay_s: Annotated[float, Field(ge=0, le=3600)] = 5
    """After SIGTERM: not ready, and serving on for so long, until load balancers have noticed."""
    drain_grace_s: Time = 25
    """Then: the time to finish what is open."""
    keep_alive_s: Time = 75
    """How long an idle connection is kept."""

    cache_entries: Annotated[int, Field(ge=0, le=10**7)] = 0
    """Answers that a worker keeps for images that come again; 0 keeps none."""

    state_dir: Path | None = None
    """Folder of what is changed while serving (`deployment.json`); if not set, the store's in the user's state."""
    apply_timeout_s: Time = 120
    """How long a change of what is served may take on all workers."""

    metrics_dir: Path | None = None
    """Folder that the workers of one server share their metrics through; made by the server if not set."""
    metrics_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """A port of its own for `/metrics`, `/livez` and `/readyz`; the service's port then has no `/metrics`."""
    metrics_host: str = "127.0.0.1"
    """The address that `metrics_port` is bound to."""

    quality: bool = True
    """Whether `/metrics` says what answers look like: classes, confidence, drift."""
    quality_classes: Annotated[int, Field(ge=1, le=1000)] = 100
    """Classes of a version that are counted by name; the rest is `other`."""
    drift_window: Annotated[int, Field(ge=100, le=10**9)] = 2000
    """Images of a version that drift is measured over; older ones fade."""

    feedback: Annotated[float, Field(ge=0, le=1)] = 0
    """Part of the classified requests that is recorded in the state folder, so that their labels can be told later."""
    feedback_capacity: Count = 100_000
    """Images on that record, and labels of images; older ones are forgotten."""
    request_log: Path | None = None
    """File that gets a line of JSON for each classified request: client, model, best class, times, no image."""
    request_log_share: Annotated[float, Field(ge=0, le=1)] = 1
    """Part of the classified requests that get one."""
    request_log_bytes: Count = 100 * 2**20
    """Size at which the file becomes `….1`, in place of the last one."""
    request_log_images: Path | None = None
    """Folder that gets the images of these requests too; needs `request_log`."""
    request_log_images_bytes: Annotated[int, Field(ge=1)] = 2**30
    """Size of that folder; the oldest images make way."""

    traces_endpoint: Annotated[str, Field(pattern=r"^https?://[^/\s]+/\S+$")] | None = None
    """Collector that spans are sent to, OTLP over HTTP: `http://HOST:4318/v1/traces`."""
    traces_share: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Part of the requests that are traced, of those that come without a `traceparent`; others say it themselves."""

    keys_file: Path | None = None
    """File of API keys' digests, `NAME ROLE SHA256 [RATE/s] [high]` a line; without a key there is then health and no
    more."""
    key_rate_per_s: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """Requests per second of each key whose line has no rate of its own; unlimited if not set."""
    cors_origins: Origins = ()
    """Origins of web pages that may call, `https://a.example` with commas between, or `*`."""
    path_prefix: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)*$")] = ""
    """Path such as `/vision` that a proxy serves this under; requests work with it and without."""
    tls_certificate: Path | None = None
    """PEM file of the certificate chain: the service's port then speaks TLS; needs `tls_key`."""
    tls_key: Path | None = None
    """PEM file of the certificate's private key, not encrypted."""
    tls_client_ca: Path | None = None
    """PEM file of the authorities whose certificates clients must show; none are asked for if not set."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError(f"{PREFIX}TLS_CERTIFICATE and {PREFIX}TLS_KEY: one needs the other")
        for name, needs in (
            ("tls_client_ca", "tls_certificate"),
            ("key_rate_per_s", "keys_file"),
            ("request_log_images", "request_log"),
        ):
            if getattr(self, name) is not None and getattr(self, needs) is None:
                raise ValueError(f"{PREFIX}{name.upper()}: needs {PREFIX}{needs.upper()}")
        return self

    @property
    def decode_limits(self) -> DecodeLimits:
        """The limits in the form that `models.preprocess` takes them."""
        return DecodeLimits(DEFAULT_FORMATS | self.extra_formats, self.max_pixels, self.max_draft_pixels)

    @property
    def decodes(self) -> int:
        """Images that one worker decodes at the same time."""
        return self.decode_threads or self.threads_per_worker

    @property
    def http_limits(self) -> HttpLimits:
        """The limits of what a client may take before its request is known."""
        return HttpLimits(
            header_timeout_s=self.header_timeout_s, body_timeout_s=self.body_timeout_s, keep_alive_s=self.keep_alive_s
        )

    @property
    def room(self) -> RoomLimits:
        """The limits of a queue, which is one worker's: so is a client's share of it."""
        return RoomLimits(self.queue_capacity, self.max_queue_ms / 1000, self.client_share)

    @property
    def default_state_root(self) -> Path:
        """Where state folders lie that were not named (XDG base directory specification)."""
        return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "convserve"

    @property
    def threads_per_worker(self) -> int:
        """Threads that one worker may compute with: its share of the cores that this process may run on."""
        return self.threads or max(1, cores.usable() // self.workers)


def read_settings() -> Settings:
    """Read the settings from the environment; raises `InvalidSettings` that names the variable and what is wrong."""
    found = faults()
    if found:
        raise InvalidSettings(found[0])
    return Settings()


def faults() -> list[str]:
    """Return all that is wrong with the settings in the environment, a line each."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    found = [
        f"{name}: there is no such setting; there are {', '.join(sorted(known))}"
        for name in sorted(os.environ)
        if name.startswith(PREFIX) and name not in known | CLIENT_NAMES
    ]
    try:
        Settings()
    except ValidationError as error:
        found += [_line(fault) for fault in error.errors(include_url=False)]
    return found


def _line(fault: Any) -> str:
    if not fault["loc"]:  # of several settings together: the text names them
        return str(fault["ctx"]["error"])
    name = PREFIX + str(fault["loc"][0]).upper()
    return f"{name}={os.environ.get(name)}: {fault['msg']}"
