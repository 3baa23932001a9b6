"""The same network three times: its checkpoint in PyTorch, its model file in ONNX Runtime, a service over HTTP.

All answer the whole test split. For fp32 every image must have the same first class everywhere; a model file of less
precision may differ from the checkpoint on as many images as the ladder lets it, and a service never from its file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.errors import ModelError
from models.spec import ModelSpec
from models.store import ModelFile, ModelStore, Precision
from training import checkpoint, data, evaluate
from training.errors import InvalidCheckpoint, InvalidOption, TrainingError
from training.evaluate import Answers, Floats
from training.measuring.evaluation import require_labels
from training.measuring.remote import Service
from training.network import Network

AGREEMENT = {"fp32": 1.0, "fp16": 0.99, "int8": 0.99}  # of model file and checkpoint, at least


@dataclass(frozen=True, slots=True)
class Way:
    """One way to an answer, compared with the one before it.

    `agreement` is the share of images with the same first class; `delta_logit` and `delta_probability` are the
    greatest differences of any value, None where there is nothing to compare.
    """

    name: str
    right: int
    images: int
    agreement: float | None = None
    delta_logit: float | None = None
    delta_probability: float | None = None
    required: float = 1.0

    @property
    def top1(self) -> float:
        """Share of images whose class is answered first."""
        return self.right / self.images

    @property
    def holds(self) -> bool:
        """Whether it agrees with the way before it as it must."""
        return self.agreement is None or self.agreement >= self.required


def verify(
    store: ModelStore,
    name: str,
    version: int,
    *,
    precision: Precision = "fp32",
    path: Path | None = None,
    runs: Path = Path("runs"),
    dataset: str | None = None,
    service: Service | None = None,
) -> list[Way]:
    """Return the ways to the answers of model *name*, in order; the last one is the *service*, if there is one.

    The checkpoint is the one at *path*, else the newest under *runs* whose network gives the model's golden answers.
    Raises `ModelNotFound`, `InvalidCheckpoint`, or `InvalidOption` for a service that serves something else.
    """
    if service is not None:
        precision = _served(service, name, version)
    file = store.read(name, version, precision)
    spec, predict = evaluate.open_model_file(file.data, str(file.path))
    path = path or find_checkpoint(file, spec, runs)
    blueprint, network = checkpoint.load(path)
    if spec.provenance.net is not None and blueprint.net != spec.provenance.net:
        raise InvalidCheckpoint(f"{path}: is a {blueprint.net}, and {name} version {version} a {spec.provenance.net}")
    split = data.load(dataset or blueprint.dataset)
    require_labels(f"{name} version {version}", spec.labels, split)
    require_labels(str(path), blueprint.labels, split)
    files, class_ids = split.test.files, split.test.class_ids
    ours = evaluate.answer(evaluate.of_network(network), files, blueprint.geometry)
    theirs = evaluate.answer(predict, files, spec.geometry)
    ways = [
        _way(f"checkpoint {path}", class_ids, ours.logits, None),
        _way(
            f"model file {file.path}",
            class_ids,
            theirs.logits,
            ours.logits,
            required=AGREEMENT[precision],
            delta_logit=_greatest(theirs.logits, ours.logits),
        ),
    ]
    if service is not None:
        ways.append(_over_http(service, files, class_ids, theirs))
    return ways


def find_checkpoint(file: ModelFile, spec: ModelSpec, runs: Path) -> Path:
    """Return the newest best checkpoint under *runs* whose network gives the golden answers of the fp32 model.

    Raises `InvalidCheckpoint` if there is none.
    """
    for path in _newest_first(runs):
        try:
            blueprint, network = checkpoint.load(path)
        except TrainingError:
            continue
        alike = (blueprint.net, blueprint.labels, blueprint.geometry) == (
            spec.provenance.net,
            spec.labels,
            spec.geometry,
        )
        if alike and _gives_golden(network, file, spec):
            return path
    raise InvalidCheckpoint(
        f"{runs}: no checkpoint there answers as {file.name} version {file.version}; name it with --checkpoint"
    )


def _newest_first(runs: Path) -> Iterator[Path]:
    paths = runs.glob("*/checkpoints/best.ckpt")
    return iter(sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True))


def _gives_golden(network: Network, file: ModelFile, spec: ModelSpec) -> bool:
    try:
        answers = evaluate.answer(evaluate.of_network(network), file.golden.files, spec.geometry)
    except (ModelError, RuntimeError):  # not for such images
        return False
    return file.golden.mismatch("fp32", answers.logits) is None


def _served(service: Service, name: str, version: int) -> Precision:
    if (service.name, service.version) != (name, version):
        raise InvalidOption(
            f"{service.url} serves {service.name} version {service.version}, not {name} version {version}"
        )
    return service.precision  # type: ignore[return-value] # one of them, by its spec


def _over_http(service: Service, files: data.Files, class_ids: data.ClassIds, file: Answers) -> Way:
    probabilities = service.probabilities(files)
    logits = service.logits(files)
    return _way(
        f"service {service.url}",
        class_ids,
        probabilities,
        file.probabilities,
        delta_logit=None if logits is None else _greatest(logits, file.logits),
        delta_probability=_greatest(probabilities, file.probabilities),
    )


def _way(
    name: str,
    class_ids: data.ClassIds,
    answers: Floats,
    before: Floats | None,
    *,
    required: float = 1.0,
    delta_logit: float | None = None,
    delta_probability: float | None = None,
) -> Way:
    first = answers.argmax(axis=1)
    return Way(
        name=name,
        right=int((first == class_ids).sum()),
        images=len(class_ids),
        agreement=None if before is None else float((first == before.argmax(axis=1)).mean()),
        delta_logit=delta_logit,
        delta_probability=delta_probability,
        required=required,
    )


def _greatest(ours: Floats, theirs: Floats) -> float:
    return float(np.abs(ours - theirs).max())
