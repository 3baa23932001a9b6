"""The shapes of the Open Inference Protocol's JSON, for the document alone; sources stand in `service/oip`."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Datatype = Literal["UINT8", "FP32", "BYTES"]
Parameters = dict[str, str | int | float | bool]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=(), use_attribute_docstrings=True)


class _Open(BaseModel):  # what clients send may hold more, which is not looked at
    model_config = ConfigDict(extra="allow", protected_namespaces=(), use_attribute_docstrings=True)


class ServerLive(_Shape):
    live: Literal[True]


class ServerReady(_Shape):
    ready: Literal[True]


class ModelReady(_Shape):
    name: str
    ready: Literal[True]


class ServerMetadata(_Shape):
    name: str
    version: str
    extensions: list[str]


class TensorMetadata(_Shape):
    name: str
    datatype: Datatype
    shape: list[int]
    """-1 is any number of images."""


class ModelMetadata(_Shape):
    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class InferInput(_Open):
    """A tensor that is sent: with `data`, or with `binary_data_size` in its parameters and its bytes after the JSON."""

    name: str
    datatype: str
    shape: list[int]
    parameters: Parameters | None = None
    data: list[Any] | None = None
    """Row-major, flat or nested. An image file is a string in base64."""


class InferWanted(_Open):
    """An output that is asked for; parameters are `binary_data` and `classification`."""

    name: str
    parameters: Parameters | None = None


class InferRequest(_Open):
    inputs: Annotated[list[InferInput], Field(max_length=64)]
    outputs: Annotated[list[InferWanted], Field(max_length=64)] | None = None
    """All of them if not given."""
    id: str | None = None
    parameters: Parameters | None = None
    """`binary_data_output`, `timeout` in microseconds, `priority`."""


class InferOutput(_Shape):
    name: str
    datatype: Datatype
    shape: list[int]
    parameters: Parameters | None = None
    data: list[float | str | None] | None = None
    """Row-major and flat; null is NaN."""


class InferResponse(_Shape):
    model_name: str
    model_version: str
    id: str | None = None
    parameters: Parameters
    outputs: list[InferOutput]


class Count(_Shape):
    count: Annotated[int, Field(ge=0)]
    ns: Annotated[int, Field(ge=0)]


class InferStatistics(_Shape):
    success: Count
    fail: Count
    queue: Count
    compute_input: Count
    compute_infer: Count
    compute_output: Count
    cache_hit: Count
    cache_miss: Count


class BatchStatistics(_Shape):
    batch_size: Annotated[int, Field(ge=1)]
    compute_input: Count
    compute_infer: Count
    compute_output: Count


class ModelStatistics(_Shape):
    name: str
    version: str
    last_inference: int
    """Milliseconds since 1970."""
    inference_count: int
    execution_count: int
    inference_stats: InferStatistics
    response_stats: dict[str, Any]
    batch_stats: list[BatchStatistics]
    memory_usage: list[Any]


class StatisticsList(_Shape):
    model_stats: list[ModelStatistics]


class ConfigTensor(_Shape):
    name: str
    data_type: Literal["TYPE_UINT8", "TYPE_FP32", "TYPE_STRING"]
    dims: list[int]
    label_filename: str | None = None


class ModelConfiguration(_Open):
    """In the words of Triton's ModelConfig."""

    name: str
    platform: str
    backend: str
    max_batch_size: int
    input: list[ConfigTensor]
    output: list[ConfigTensor]


class IndexRequest(_Open):
    ready: bool = False
    """Only what serves."""


class IndexLine(_Shape):
    name: str
    version: str
    state: Literal["READY", "LOADING", "UNAVAILABLE"]
    reason: str


class RepositoryRequest(_Open):
    parameters: dict[str, Any] | None = None
