"""From an ONNX file of any framework to a version in the model store, proved to answer as the original does.

The original gets its floats from numpy, the model file its bytes from the graph: what both agree on was normalised
rightly. It does not know how the original was trained.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto

from models.golden import GOLDEN_IMAGES, Golden
from models.spec import Calibration, Geometry, ModelSpec, Normalisation, Precision, Provenance, Source
from models.store import ModelStore, Rung, require_name
from training import confidence, data, evaluate
from training.errors import ExportRefused, InvalidImport
from training.evaluate import Answers, Floats
from training.graphs import add_features, set_temperature
from training.importing.adapt import adapt
from training.importing.original import FLOATS, Original
from training.precision.ladder import PRECISIONS, Candidate, Proof, climb
from training.publish import Exported, choose_golden, publish

Gives = Literal["auto", "logits", "probabilities"]
ODD_BATCHES = (1, 2, 7)
TOLERANCE: Mapping[int, float] = {
    TensorProto.FLOAT: 1e-4,
    TensorProto.FLOAT16: 5e-3,
}  # of the largest value; as export's, and as fp16 rounds
UNMEASURED = "no labelled images were given to calibrate on and to measure it with"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the file itself does not say: what its classes are, and how images were prepared for it."""

    name: str
    labels: tuple[str, ...]
    geometry: Geometry
    normalisation: Normalisation
    bgr: bool = False  # channels in the order blue, green, red
    gives: Gives = "auto"
    features: bool = False
    precisions: Iterable[Precision] = PRECISIONS


def import_(
    original: Original, store: ModelStore, wishes: Wishes, samples: data.Files, labelled: data.Dataset | None = None
) -> tuple[Exported, list[str]]:
    """Put *original* into the store as a model file; return it, and what was found on the way.

    Its answers are compared on *samples*, image files. Of *labelled*, the validation split gives it a temperature, the
    test split its quality.
    Raises `InvalidImport` for what cannot become a model file, `ExportRefused` when the answers differ; the store is
    then as it was.
    """
    require_name(wishes.name)
    path, classes = original.path, len(wishes.labels)
    if original.classes is not None and original.classes != classes:
        raise InvalidImport(f"{path}: {classes} labels for {original.classes} classes")
    images = np.concatenate(list(data.batches(samples, wishes.geometry, len(samples))))
    want = _ask_original(original, images, wishes)
    probabilities = _gives_probabilities(original, want, wishes.gives)
    model = adapt(original, wishes.geometry, wishes.normalisation, classes, probabilities=probabilities, bgr=wishes.bgr)
    notes = [
        f"gives {'probabilities' if probabilities else 'logits'}, {original.layout.upper()} {FLOATS[original.kind]}"
    ]
    if original.batch is not None:
        notes.append(f"its batch was frozen at {original.batch} and takes any number of images now")
    draft = _draft(original, wishes, features=add_features(model) if wishes.features else None)
    answers = _require_parity(original, model, images, want, probabilities=probabilities)
    if labelled is None:
        ladder: dict[Precision, Candidate] = {"fp32": Candidate(Rung(admitted=True), model, answers)}
        ladder |= {
            precision: Candidate(Rung(admitted=False, reason=UNMEASURED))
            for precision in wishes.precisions
            if precision != "fp32"
        }
        first = answers.logits[:GOLDEN_IMAGES]
        golden = Golden(tuple(samples[:GOLDEN_IMAGES]), first.argmax(axis=1), {"fp32": first})
    else:
        validation, test = (_relabelled(labelled, part, wishes.labels) for part in (labelled.validation, labelled.test))
        calibration = _calibrate(original, model, validation, wishes.geometry)
        draft = draft.model_copy(update={"calibration": calibration})
        why = f" ({calibration.reason})" if calibration.reason else ""
        notes.append(f"temperature {calibration.temperature:.3f}{why}")
        answers = evaluate.answer(evaluate.of_model_file(model.SerializeToString()), test.files, wishes.geometry)
        proof = Proof(wishes.geometry, labelled.train.files, labelled.validation.files, test)
        ladder = climb(model, answers, proof, wishes.precisions)
        ladder = {precision: _of(labelled.name, candidate) for precision, candidate in ladder.items()}
        golden = choose_golden(test, ladder)
    return publish(store, draft, ladder, golden), notes


def _draft(original: Original, wishes: Wishes, features: int | None) -> ModelSpec:
    libraries = {name: version(name) for name in ("onnx", "onnxruntime")}
    source = Source(file=original.path.name, sha256=original.sha256, producer=original.producer)
    return ModelSpec(
        name=wishes.name,
        version=1,
        labels=wishes.labels,
        geometry=wishes.geometry,
        normalisation=wishes.normalisation,
        provenance=Provenance(dataset=None, net=None, git_commit=None, seed=None, libraries=libraries, source=source),
        quality=None,
        profile=None,
        features=features,
    )


def _ask_original(original: Original, images: data.Pixels, wishes: Wishes) -> Floats:
    """Return the answers (N, K) of the file as it came, to images that numpy normalised."""
    normal = wishes.normalisation
    floats = (images.astype(np.float64) * normal.scale - np.array(normal.mean)) / np.array(normal.std)  # (N, H, W, C)
    if wishes.bgr:
        floats = floats[..., ::-1]
    if original.layout == "nchw":
        floats = floats.transpose(0, 3, 1, 2)
    inputs = np.ascontiguousarray(floats.astype(FLOATS[original.kind]))
    size = original.batch or len(inputs)
    padded = np.concatenate([inputs, np.repeat(inputs[-1:], -len(inputs) % size, axis=0)])
    try:
        session = onnxruntime.InferenceSession(original.model.SerializeToString(), providers=["CPUExecutionProvider"])
        parts = [
            session.run([original.output], {original.input: padded[start : start + size]})[0]
            for start in range(0, len(padded), size)
        ]
    except Exception as error:  # onnxruntime raises its own, unexported exception types
        raise InvalidImport(f"{original.path}: ONNX Runtime cannot run it: {_line(error)}") from error
    answers: Floats = np.concatenate(parts).astype(np.float32)
    answers = answers.reshape(len(padded), -1)[: len(inputs)]
    if answers.shape[1] != len(wishes.labels):
        raise InvalidImport(f"{original.path}: {len(wishes.labels)} labels for {answers.shape[1]} classes")
    if not np.isfinite(answers).all():
        raise InvalidImport(f"{original.path}: its answers to {len(inputs)} samples are not all finite")
    if float(np.ptp(answers, axis=0).max()) < 1e-6:  # of logits or of probabilities
        raise InvalidImport(f"{original.path}: it answers the same to all {len(inputs)} samples")
    return answers


def _gives_probabilities(original: Original, answers: Floats, told: Gives) -> bool:
    """Return whether the original gives probabilities, by what it answers; raises where it was *told* otherwise."""
    sums = answers.sum(axis=1)
    are = bool((answers >= 0).all() and (np.abs(sums - 1) < 1e-2).all())
    if told == "logits" and are:
        raise InvalidImport(
            f"{original.path}: its answers are probabilities already; a second softmax would flatten them"
        )
    if not are and (told == "probabilities" or original.softmax):
        raise InvalidImport(
            f"{original.path}: its answers are no probabilities of an image's classes: they sum to {float(sums[0]):.4g}"
        )
    return are


def _require_parity(
    original: Original, model: onnx.ModelProto, images: data.Pixels, want: Floats, *, probabilities: bool
) -> Answers:
    """Return the answers of *model* to *images*, in any batch those of the original; raises `ExportRefused`."""
    try:
        onnx.checker.check_model(model, full_check=True)
        predict = evaluate.of_model_file(model.SerializeToString())
        answers = predict(images)
        odd = {size: predict(images[:size]) for size in ODD_BATCHES if size <= len(images)}
    except Exception as error:  # onnx and onnxruntime raise what they like on a graph that holds its batch
        if original.batch is None:
            raise InvalidImport(f"{original.path}: cannot be made a model file: {_line(error)}") from error
        raise InvalidImport(
            f"{original.path}: its batch is frozen at {original.batch} inside too; export it with a dynamic batch "
            f"({_line(error)})"
        ) from error
    for size, part in ({len(images): answers} | odd).items():
        got, truth = (part.probabilities if probabilities else part.logits), want[:size]
        bound = TOLERANCE[original.kind] * (1 + float(np.abs(truth).max()))
        if original.batch is not None and got.shape != truth.shape:
            raise InvalidImport(f"{original.path}: its batch is frozen at {original.batch} inside too")
        worst = float(np.abs(got - truth).max())
        if not worst <= bound or (got.argmax(axis=1) != truth.argmax(axis=1)).any():
            raise ExportRefused(
                f"{original.path}: the model file differs on {size} samples by {worst:.3g}, more than {bound:.3g}"
            )
    return answers


def _calibrate(original: Original, model: onnx.ModelProto, validation: data.Split, geometry: Geometry) -> Calibration:
    """Fit a temperature as `fit` and `export` do, and put it into *model*; raises `InvalidImport` for infinities."""
    logits = evaluate.answer(evaluate.of_model_file(model.SerializeToString()), validation.files, geometry).logits
    if not np.isfinite(logits).all():
        raise InvalidImport(f"{original.path}: its answers to {len(logits)} validation images are not all finite")
    calibration = confidence.calibration(logits, validation.class_ids)
    set_temperature(model, calibration.temperature)
    return calibration


def _relabelled(labelled: data.Dataset, split: data.Split, labels: tuple[str, ...]) -> data.Split:
    """Return a split with the class_ids that *labels* have; raises `InvalidImport` for one that is not there."""
    unknown = [label for label in labelled.labels if label not in labels]
    if unknown:
        raise InvalidImport(f"data set {labelled.name}: the model has no label {unknown[0]!r}")
    ids = np.array([labels.index(label) for label in labelled.labels], np.int64)
    return data.Split(split.files, ids[split.class_ids])


def _of(dataset: str, candidate: Candidate) -> Candidate:
    """Name the data set that a quality was measured on: the model was not trained by us on any."""
    quality = candidate.rung.quality
    if quality is None:
        return candidate
    rung = candidate.rung.model_copy(update={"quality": quality.model_copy(update={"dataset": dataset})})
    return Candidate(rung, candidate.model, candidate.answers)


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
