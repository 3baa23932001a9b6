"""What can be evaluated: a checkpoint, a run, a model file, an entry of a model store, a model of a running service.

All become a `Subject`: image files in, answers out. How good the answers are is not known here.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from models.preprocess import decode, open_image, ten_crop
from models.spec import Geometry, ModelSpec
from models.store import ModelStore, Precision
from training import checkpoint, evaluate
from training.data import LIMITS, Files
from training.errors import InvalidCheckpoint, InvalidOption
from training.evaluate import Answers, Floats, Predict
from training.fitting.folder import RunFolder
from training.measuring.remote import Service

ENTRY = re.compile(r"(?P<name>[^:/]+)(?::(?P<version>[1-9][0-9]{0,8}))?")
CROPS = 10
BATCH = 64


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is asked, and what a question and an answer are: image files → probabilities (N, K) of `labels`."""

    kind: Literal["checkpoint", "model file", "service"]
    name: str
    labels: tuple[str, ...]
    geometry: Geometry
    dataset: str | None  # what it was trained on, where it can be loaded from
    probabilities: Callable[[Files], Floats]
    run: RunFolder | None = None


def of_checkpoint(path: Path, crops: int = 1) -> Subject:
    """Return the network in a checkpoint, or in the best one of a run's folder."""
    run = _run_of(path)
    path = run.best if run is not None and path.is_dir() else path
    blueprint, network = checkpoint.load(path)
    return Subject(
        kind="checkpoint",
        name=f"{path.parent.parent.name}/{path.name}" if run is not None else path.name,
        labels=blueprint.labels,
        geometry=blueprint.geometry,
        dataset=blueprint.dataset,
        probabilities=_answering(evaluate.of_network(network), blueprint.geometry, crops),
        run=run,
    )


def of_model_file(content: bytes, source: str, crops: int = 1) -> Subject:
    """Return the model in the bytes of an ONNX file that carries a spec; *source* is where they come from."""
    spec, predict = evaluate.open_model_file(content, source)
    return Subject(
        kind="model file",
        name=f"{spec.name} version {spec.version} {_precision(spec)}",
        labels=spec.labels,
        geometry=spec.geometry,
        dataset=spec.provenance.dataset,
        probabilities=_answering(predict, spec.geometry, crops),
    )


def of_service(service: Service, crops: int = 1) -> Subject:
    """Return a model as a service answers with it."""
    if crops != 1:
        raise InvalidOption(f"--crops {crops}: a service takes whole images; evaluate its model file")
    spec = service.spec
    return Subject(
        kind="service",
        name=f"{service.name} version {service.version} {service.precision} at {service.url}",
        labels=spec.labels,
        geometry=spec.geometry,
        dataset=spec.provenance.dataset,
        probabilities=service.probabilities,
    )


def find(what: str, store: ModelStore, precision: Precision = "fp32", crops: int = 1) -> Subject:
    """Return what the user means by a word: a path, or NAME or NAME:VERSION in *store*.

    Raises `InvalidCheckpoint`, `InvalidSpec`, or `ModelNotFound`.
    """
    path = Path(what)
    if path.suffix == ".onnx" and path.is_file():
        return of_model_file(path.read_bytes(), what, crops)
    if path.exists() and not (path.is_dir() and _run_of(path) is None and ENTRY.fullmatch(what)):
        return of_checkpoint(path, crops)
    entry = ENTRY.fullmatch(what)
    if entry is None or path.suffix in (".ckpt", ".onnx"):
        raise InvalidCheckpoint(f"{what}: no such file")
    file = store.read(entry["name"], version_of(store, entry["name"], entry["version"]), precision)
    return of_model_file(file.data, str(file.path), crops)


def version_of(store: ModelStore, name: str, version: str | None = None) -> int:
    """Return the version that is asked for, else the newest; 1 where there is none, for the store to refuse."""
    return int(version) if version else max(store.versions(name), default=1)


def _answering(predict: Predict, geometry: Geometry, crops: int) -> Callable[[Files], Floats]:
    if crops == 1:
        return lambda files: evaluate.answer(predict, files, geometry, BATCH).probabilities
    if crops != CROPS:
        raise InvalidOption(f"--crops {crops}: 1 or {CROPS}")
    return lambda files: np.stack([_mean_of_crops(predict, file, geometry) for file in files])


def _mean_of_crops(predict: Predict, file: bytes, geometry: Geometry) -> Floats:
    """Return the mean of the probabilities of an image's ten crops, (K,)."""
    answers: Answers = predict(ten_crop(decode(open_image(file, geometry, LIMITS), geometry), geometry))
    mean: Floats = answers.probabilities.mean(axis=0)
    return mean


def _run_of(path: Path) -> RunFolder | None:
    """Return the run that a checkpoint, or a folder, is of."""
    folder = path if path.is_dir() else path.parent.parent
    return RunFolder(folder) if (folder / "config.json").is_file() else None


def _precision(spec: ModelSpec) -> str:
    return str(getattr(spec, "precision", "fp32"))
