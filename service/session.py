"""One model file on one execution provider of ONNX Runtime; the only place that knows ONNX Runtime.

What was asked for is what one gets: a GPU provider that cannot be had, or that leaves a node of the network to the
CPU, raises `ProviderUnavailable`. Only `auto` may choose, and says what it chose.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from models.errors import InvalidModelFile, InvalidSpec, ModelError
from models.spec import METADATA_KEY, ModelSpec
from models.store import ModelFile
from service.outputs import Outputs
from service.settings import Provider

INPUT, OUTPUTS, FEATURES = "images", ("logits", "probabilities"), "features"
EXECUTION_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_AUTO = ("cuda", "cpu")  # TensorRT builds engines for minutes: only when asked for
_FALLBACKS = {"cpu": (), "cuda": ("cpu",), "tensorrt": ("cuda", "cpu")}  # what ONNX Runtime needs listed behind it
_HEAVY = frozenset({"Conv", "Gemm", "MatMul", "FusedConv", "FusedGemm", "FusedMatMul", "MaxPool", "AveragePool"})

# of onnx.proto: TensorProto.external_data (field 13), whose first entry has the key "location"
_EXTERNAL = re.compile(rb"\x6a(?:[\x00-\x7f]|[\x80-\xff][\x00-\x7f])\x0a\x08location\x12")


class ProviderUnavailable(ModelError):
    """The execution provider that was asked for cannot run the model; the text says what is missing."""

    code = "provider_unavailable"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a session runs: the provider's short name and how many nodes each execution provider got."""

    provider: str
    nodes: dict[str, int]


class Session:
    """A model loaded on its provider; `run` is thread-safe but is meant for one thread a device."""

    def __init__(self, inference: ort.InferenceSession, spec: ModelSpec, placement: Placement) -> None:
        self._inference = inference
        self._outputs = OUTPUTS if spec.features is None else (*OUTPUTS, FEATURES)
        self.spec = spec
        self.placement = placement

    def run(self, images: npt.NDArray[np.uint8]) -> Outputs:
        """Classify *images* (N, H, W, C), N ≥ 1."""
        logits, probabilities, *features = self._inference.run(self._outputs, {INPUT: images})
        want = (len(images), len(self.spec.labels))
        if logits.shape != want or probabilities.shape != want:
            raise RuntimeError(f"outputs {logits.shape} and {probabilities.shape} instead of {want}")
        if features and features[0].shape != (len(images), self.spec.features):
            raise RuntimeError(f"features {features[0].shape} instead of {(len(images), self.spec.features)}")
        return Outputs(logits, probabilities, *features)

    def close(self) -> None:
        """Give the memory of the model back now, whoever still holds this object; it cannot run any more."""
        del self._inference


def load(file: ModelFile, provider: Provider, threads: int) -> Session:
    """Load a verified model file, read its spec and check that graph, spec, folder and provider agree.

    Raises `InvalidModelFile`, `InvalidSpec` or `ProviderUnavailable`, each with one line that names the file or the
    provider.
    """
    if _EXTERNAL.search(file.data):
        raise InvalidModelFile(f"{file.path}: keeps data in another file, which its digest does not cover")
    inference, placement = _create(file, provider, threads)
    spec = _spec(file, inference)
    _check_graph(file, inference, spec)
    if file.served_name is not None:
        spec = spec.model_copy(update={"name": file.served_name})
    return Session(inference, spec, placement)


def session_options(threads: int) -> ort.SessionOptions:
    """Return the options that every session of the project runs with, the benchmarks' included."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    # waiting threads that spin take the cores that decode images
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    options.log_severity_level = 3  # errors; what matters of the rest is raised here
    return options


def _create(file: ModelFile, asked: Provider, threads: int) -> tuple[ort.InferenceSession, Placement]:
    refused: list[str] = []
    for provider in _AUTO if asked == "auto" else (asked,):
        try:
            return _create_on(file, provider, threads)
        except ProviderUnavailable as error:
            refused.append(str(error))
    raise ProviderUnavailable("; ".join(refused))


def _create_on(file: ModelFile, provider: str, threads: int) -> tuple[ort.InferenceSession, Placement]:
    names = [EXECUTION_PROVIDERS[name] for name in (provider, *_FALLBACKS[provider])]
    if names[0] not in ort.get_available_providers():
        raise ProviderUnavailable(
            f"execution provider {provider} is not in {_installed()}; requirements/serve-gpu.txt has the one for a GPU"
        )
    if provider != "cpu":
        ort.preload_dlls()  # CUDA and cuDNN from their wheels
    try:
        # enable_fallback=0: ONNX Runtime's Python layer would otherwise retry on the CPU without a word
        inference = ort.InferenceSession(file.data, session_options(threads), providers=names, enable_fallback=0)
    except Exception as error:  # onnxruntime raises its own, unexported exception types
        message = str(error).splitlines()[0]
        if provider != "cpu":
            raise ProviderUnavailable(f"execution provider {provider} cannot be used: {message}") from error
        raise InvalidModelFile(f"{file.path}: not a loadable ONNX file: {message}") from error
    if inference.get_providers()[0] != names[0]:
        raise ProviderUnavailable(
            f"execution provider {provider} cannot be used: its libraries or its device are missing"
        )
    return inference, _placement(inference, provider)


def _placement(inference: ort.InferenceSession, provider: str) -> Placement:
    """Count the nodes on each provider; a GPU that leaves the network itself to the CPU was not obtained."""
    nodes: Counter[str] = Counter()
    left_out: list[str] = []
    for subgraph in inference.get_provider_graph_assignment_info():
        operators = [node.op_type for node in subgraph.get_nodes()]
        nodes[subgraph.ep_name] += len(operators)
        if provider != "cpu" and subgraph.ep_name == EXECUTION_PROVIDERS["cpu"]:
            left_out += [operator for operator in operators if operator in _HEAVY]
    if left_out:
        raise ProviderUnavailable(
            f"execution provider {provider} left {len(left_out)} nodes to the CPU, the first a {left_out[0]}"
        )
    return Placement(provider, dict(nodes))


def _spec(file: ModelFile, inference: ort.InferenceSession) -> ModelSpec:
    text = inference.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise InvalidSpec(f"{file.path}: no spec in the model's metadata ({METADATA_KEY}); it was not exported by us")
    spec = ModelSpec.from_json(text, str(file.path))
    if (spec.name, spec.version, spec.precision) != (file.name, file.version, file.precision):
        raise InvalidSpec(f"{file.path}: its spec speaks of {spec.name} version {spec.version} in {spec.precision}")
    return spec


def _check_graph(file: ModelFile, inference: ort.InferenceSession, spec: ModelSpec) -> None:
    inputs = {value.name: value for value in inference.get_inputs()}
    outputs = {value.name: value for value in inference.get_outputs()}
    if list(inputs) != [INPUT] or not set(OUTPUTS) <= set(outputs):
        raise InvalidModelFile(f"{file.path}: takes {list(inputs)} and gives {list(outputs)}, not {INPUT} → {OUTPUTS}")
    _check_value(file, inputs[INPUT], "tensor(uint8)", spec.geometry.shape)
    for name in OUTPUTS:
        classes = outputs[name].shape[-1]
        if isinstance(classes, int) and len(outputs[name].shape) == 2 and classes != len(spec.labels):
            raise InvalidModelFile(
                f"{file.path}: {name} are of {classes} classes, but the spec has {len(spec.labels)} labels"
            )
        _check_value(file, outputs[name], "tensor(float)", (len(spec.labels),))
    if spec.features is not None and FEATURES not in outputs:
        raise InvalidModelFile(f"{file.path}: its spec says that it gives features, but the graph does not")


def _check_value(file: ModelFile, value: Any, kind: str, shape: Sequence[int]) -> None:
    batch, *rest = value.shape
    if value.type != kind or tuple(rest) != tuple(shape):
        raise InvalidModelFile(
            f"{file.path}: {value.name} is {value.type} {value.shape}, but the spec says {kind} (N, {list(shape)})"
        )
    if isinstance(batch, int):
        raise InvalidModelFile(f"{file.path}: {value.name} has a frozen batch of {batch}; export it with a dynamic one")


def _installed() -> str:
    found = []
    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return " and ".join(found) or "this ONNX Runtime"


def has_gpu_build() -> bool:
    """Tell whether the installed ONNX Runtime was built for a GPU at all."""
    return has_provider("cuda")


def has_provider(provider: str) -> bool:
    """Tell whether the installed ONNX Runtime was built with an execution provider, by its short name."""
    return EXECUTION_PROVIDERS[provider] in ort.get_available_providers()
