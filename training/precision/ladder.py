"""The precision ladder: each precision below fp32 is made, measured on the test split, and admitted or refused.

How a precision is made is half.py's and choice.py's; where it goes to is export.py's.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from models.spec import Geometry, Precision, Quality
from models.store import Rung
from training import confidence, data, evaluate, graphs
from training.data import ClassIds
from training.evaluate import Answers
from training.precision import choice, half

MIN_TEST_IMAGES = 200  # fewer prove nothing: 0.5 points of them are less than one image
MAX_TOP1_LOSS = 0.005  # or one image, whichever is more
MIN_AGREEMENT = 0.99
CALIBRATION_IMAGES = 256  # of the training split

PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One precision: the verdict, and, if it was made, the graph with its answers to the test split."""

    rung: Rung
    model: onnx.ModelProto | None = None
    answers: Answers | None = None
    uncalibrated: str | None = None  # why its graph has a temperature of 1 though another was fitted


@dataclass(frozen=True, slots=True)
class Proof:
    """What the precisions are made from, chosen by and judged by: the training, validation and test split."""

    geometry: Geometry
    train: data.Files
    validation: data.Files
    test: data.Split


def climb(
    model: onnx.ModelProto, fp32: Answers, proof: Proof, precisions: Iterable[Precision] = PRECISIONS
) -> dict[Precision, Candidate]:
    """Return fp32, which is always admitted, and each of the other *precisions* with its verdict.

    A graph keeps its temperature only if that does not raise its calibration error on the test split; a *model* that
    does not is changed.
    """
    temperature = graphs.temperature(model)
    rung = Rung(admitted=True, quality=measured(fp32, proof.test.class_ids, temperature))
    ladder: dict[Precision, Candidate] = {"fp32": _settled(Candidate(rung, model, fp32), proof, temperature)}
    for precision in PRECISIONS:
        if precision in precisions and precision in _MAKERS:
            ladder[precision] = _attempt(model, _MAKERS[precision], ladder["fp32"], proof)
    return ladder


def measured(answers: Answers, class_ids: ClassIds, temperature: float) -> Quality:
    """Return the quality of answers at a *temperature*, with the calibration error that they would have at 1.

    At 1 both are one number: a second computation would only round it otherwise.
    """
    quality = evaluate.quality(answers.probabilities, class_ids)
    before = quality.ece if temperature == 1 else confidence.ece(confidence.softmax(answers.logits, 1), class_ids)
    return quality.model_copy(update={"ece_uncalibrated": before})


def judge(answers: Answers, fp32: Answers, class_ids: ClassIds, temperature: float = 1.0) -> Rung:
    """Admit or refuse a precision by its *answers* to the test split, at a *temperature*, beside those of *fp32*."""
    if not (np.isfinite(answers.logits).all() and np.isfinite(answers.probabilities).all()):
        return Rung(admitted=False, reason="its answers are not all finite")
    count = len(class_ids)
    first, first_fp32 = answers.probabilities.argmax(axis=1), fp32.probabilities.argmax(axis=1)
    lost = int((first_fp32 == class_ids).sum()) - int((first == class_ids).sum())
    agreement = float((first == first_fp32).mean())
    reason = None
    if lost > max(MAX_TOP1_LOSS * count, 1):
        reason = (
            f"top-1 falls by {lost / count:.2%} ({lost} of {count} test images), more than {MAX_TOP1_LOSS:.1%} or one"
        )
    elif agreement < MIN_AGREEMENT:
        reason = f"agrees with fp32 on {agreement:.2%} of {count} test images, less than {MIN_AGREEMENT:.0%}"
    return Rung(
        admitted=reason is None, quality=measured(answers, class_ids, temperature), agreement=agreement, reason=reason
    )


def _attempt(model: onnx.ModelProto, make: "_Maker", fp32: Candidate, proof: Proof) -> Candidate:
    count = len(proof.test.files)
    if count < MIN_TEST_IMAGES:
        reason = f"{count} test images prove nothing; at least {MIN_TEST_IMAGES} are needed"
        return Candidate(Rung(admitted=False, reason=reason))
    try:
        made, method = make(model, proof)
        answers = evaluate.answer(evaluate.of_model_file(made.SerializeToString()), proof.test.files, proof.geometry)
    except Exception as error:  # the converters raise anything on graphs they do not know; fp32 does not depend on them
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return Candidate(Rung(admitted=False, reason=f"could not be made: {line}"))
    want = fp32.answers
    if want is None:
        raise ValueError("fp32 has no answers to compare with")
    temperature = graphs.temperature(model)
    rung = judge(answers, want, proof.test.class_ids, temperature).model_copy(update={"method": method})
    return _settled(Candidate(rung, made, answers, fp32.uncalibrated), proof, temperature)


def _settled(candidate: Candidate, proof: Proof, temperature: float) -> Candidate:
    """Take the temperature out of a graph, which is changed, where the test split is the worse calibrated for it.

    A gate like that of the precisions: the temperature was chosen on validation, and this says no more than yes or no.
    """
    quality, model = candidate.rung.quality, candidate.model
    if model is None or quality is None or quality.ece is None or quality.ece <= (quality.ece_uncalibrated or 0):
        return candidate
    reason = (
        f"{temperature:.3f} would raise the calibration error of {quality.images} test images "
        f"({quality.ece:.4f} instead of {quality.ece_uncalibrated or 0:.4f})"
    )
    graphs.set_temperature(model, 1)
    answers = evaluate.answer(evaluate.of_model_file(model.SerializeToString()), proof.test.files, proof.geometry)
    rung = candidate.rung.model_copy(update={"quality": measured(answers, proof.test.class_ids, 1)})
    return Candidate(rung, model, answers, reason)


def _int8(model: onnx.ModelProto, proof: Proof) -> tuple[onnx.ModelProto, str]:
    """Quantize by the method that validation chooses; return its name with what it was chosen by."""
    calibration, validation = (
        _spread(files, most, proof.geometry)
        for files, most in ((proof.train, CALIBRATION_IMAGES), (proof.validation, choice.MOST_IMAGES))
    )
    best, tries = choice.best_int8(model, calibration, validation)
    return best.model, f"{best} (validation, best of {tries})"


def _spread(files: data.Files, most: int, geometry: Geometry) -> Iterator[data.Pixels]:
    """Prepare images, taken at even distances, as the service prepares what it gets."""
    chosen = np.linspace(0, len(files) - 1, min(most, len(files))).astype(int).tolist()
    return data.batches([files[index] for index in chosen], geometry, choice.BATCH)


_Maker = Callable[[onnx.ModelProto, Proof], tuple[onnx.ModelProto, str | None]]
_MAKERS: Mapping[Precision, _Maker] = {"fp16": lambda model, _proof: (half.to_fp16(model), None), "int8": _int8}
