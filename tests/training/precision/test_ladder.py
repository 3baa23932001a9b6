"""training/precision/ladder.py: what is admitted, what is refused, and what stands in the store then."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from models.errors import ModelNotFound
from models.store import ModelStore
from tests.training.test_export import spec_of
from training import checkpoint, confidence, data, evaluate
from training.checkpoint import Blueprint
from training.evaluate import Answers
from training.export import export, to_onnx
from training.fit import Run
from training.precision.ladder import Proof, climb, judge, measured
from training.publish import Exported


def answering(class_ids: list[int], classes: int = 3) -> Answers:
    """Answers with these classes first."""
    first = np.eye(classes, dtype=np.float32)[class_ids]
    return Answers(first, first)


def flipped(count: int, total: int = 1000) -> Answers:
    """All of class 0 but the first *count*."""
    return answering([1] * count + [0] * (total - count))


@pytest.mark.parametrize(
    ("total", "wrong", "admitted"),
    [(1000, 0, True), (1000, 5, True), (1000, 6, False), (200, 1, True), (200, 2, False)],
)
def test_half_a_point_or_one_image_may_be_lost(total: int, wrong: int, admitted: bool) -> None:
    """Whichever is larger; the reason counts the images."""
    truth = np.zeros(total, np.int64)

    rung = judge(flipped(wrong, total), flipped(0, total), truth)

    assert rung.admitted is admitted
    if not admitted:
        assert rung.reason is not None
        assert f"({wrong} of {total} test images), more than 0.5% or one" in rung.reason
    assert rung.quality is not None
    assert rung.quality.top1 == 1 - wrong / total


def test_agreement_is_asked_for_even_where_nothing_is_lost() -> None:
    """As many right as before, but others."""
    truth = np.array([0] * 500 + [1] * 500)
    rung = judge(answering([1] * 6 + [0] * 494 + [1] * 500), answering([0] * 500 + [0] * 6 + [1] * 494), truth)

    assert not rung.admitted
    assert rung.reason == "agrees with fp32 on 98.80% of 1000 test images, less than 99%"
    assert rung.agreement == pytest.approx(0.988)


def test_a_better_one_is_admitted() -> None:
    """The gate is against loss."""
    assert judge(flipped(0), flipped(9), np.zeros(1000, np.int64)).admitted


def test_answers_that_are_not_finite_are_refused() -> None:
    """As of weights that half precision cannot hold."""
    broken = Answers(np.full((300, 3), np.nan, np.float32), np.full((300, 3), np.nan, np.float32))

    rung = judge(broken, flipped(0, 300), np.zeros(300, np.int64))

    assert (rung.admitted, rung.reason) == (False, "its answers are not all finite")


def test_a_small_test_split_proves_nothing(run: Run) -> None:
    """Below 200 images nothing is even made."""
    blueprint, network = checkpoint.load(run.best)
    digits = data.load("digits")
    few = data.Split(digits.test.files[:199], digits.test.class_ids[:199])
    model = to_onnx(network, blueprint.geometry)
    answers = evaluate.answer(evaluate.of_network(network), few.files, blueprint.geometry)

    ladder = climb(model, answers, Proof(blueprint.geometry, digits.train.files, digits.validation.files, few))

    assert ladder["fp32"].rung.admitted
    for precision in ("fp16", "int8"):
        assert ladder[precision].model is None
        assert ladder[precision].rung.reason == "199 test images prove nothing; at least 200 are needed"


def test_a_trained_network_is_admitted_in_one_precision_and_refused_in_another(trained: Run, tmp_path: Path) -> None:
    """One channel 300 times as large as its neighbours, the next layer's weights for it as much smaller.

    With ReLU that is the same function, and half precision holds it; 8 bits for the whole layer leave the neighbours
    next to nothing (M. Nagel et al., "Data-free quantization through weight equalization", ICCV 2019).
    """
    content = torch.load(trained.best, weights_only=True)
    state = content["state_dict"]
    first, second, *_ = [name.removesuffix(".weight") for name in state if name.endswith(".weight")]
    state[f"{first}.weight"][0] *= 300
    state[f"{first}.bias"][0] *= 300
    state[f"{second}.weight"][:, 0] /= 300
    torch.save(content, tmp_path / "uneven.ckpt")
    store = ModelStore(tmp_path / "store")

    exported = export(tmp_path / "uneven.ckpt", store)

    ladder = store.manifest("lenet", 1).ladder
    assert ladder["fp32"].quality is not None
    assert ladder["fp32"].quality.top1 > 0.95
    assert ladder["fp16"].admitted
    assert ladder["fp16"].agreement == 1
    assert not ladder["int8"].admitted
    assert ladder["int8"].reason is not None
    assert re.fullmatch(r"top-1 falls by .* of 360 test images\), more than 0.5% or one", ladder["int8"].reason)
    assert sorted(path.name for path in exported.path.parent.glob("*.onnx")) == ["model.fp16.onnx", "model.onnx"]
    with pytest.raises(ModelNotFound, match="has no int8: top-1 falls by"):
        store.read("lenet", 1, "int8")


def proof_of(blueprint: Blueprint) -> Proof:
    """The digits."""
    digits = data.load("digits")
    return Proof(blueprint.geometry, digits.train.files, digits.validation.files, digits.test)


def test_at_a_temperature_of_1_both_errors_are_one_number(run: Run) -> None:
    """In every precision; two computations of it differ in the ninth digit."""
    blueprint, network = checkpoint.load(run.best)
    proof, model = proof_of(blueprint), to_onnx(network, blueprint.geometry)
    predict = evaluate.of_model_file(model.SerializeToString())

    ladder = climb(model, evaluate.answer(predict, proof.test.files, proof.geometry), proof)

    for candidate in ladder.values():
        assert candidate.rung.quality is not None
        assert candidate.rung.quality.ece == candidate.rung.quality.ece_uncalibrated
        assert candidate.uncalibrated is None


@pytest.mark.parametrize("temperature", [0.99999, 1.00001])
def test_a_temperature_next_to_1_is_measured_all_the_same(temperature: float) -> None:
    """What counts is the temperature, not how near the probabilities are."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(500, 5)).astype(np.float32)
    answers = Answers(logits, confidence.softmax(logits, temperature))

    class_ids = rng.integers(0, 5, 500)

    quality = measured(answers, class_ids, temperature)

    assert quality.ece == confidence.ece(answers.probabilities, class_ids)
    assert quality.ece_uncalibrated == confidence.ece(confidence.softmax(logits, 1), class_ids)
    assert quality.ece != quality.ece_uncalibrated


def test_a_temperature_that_the_test_split_is_worse_for_is_not_kept(run: Run, tmp_path: Path) -> None:
    """However it was fitted: in every file it is 1 then, the spec says why, and no error is above that before."""
    content = torch.load(run.best, weights_only=True)
    fitted = {"temperature": 5.0, "images": 180, "ece_before": 0.2, "ece_after": 0.1}
    content["hyper_parameters"]["calibration"] = fitted
    torch.save(content, tmp_path / "flattened.ckpt")
    store = ModelStore(tmp_path / "store")

    exported = export(tmp_path / "flattened.ckpt", store)

    for precision, rung in exported.ladder.items():
        assert rung.quality is not None
        assert rung.quality.ece == rung.quality.ece_uncalibrated
        if rung.admitted:
            file = store.read("lenet", 1, precision)
            spec, predict = evaluate.open_model_file(file.data, precision)
            assert spec.calibration is not None
            assert (spec.calibration.temperature, spec.calibration.ece_after) == (1, 0.2)
            assert spec.calibration.reason is not None
            assert re.fullmatch(
                r"5\.000 would raise the calibration error of 360 test images \(0\.\d{4} instead of 0\.\d{4}\)",
                spec.calibration.reason,
            )
            answers = evaluate.answer(predict, file.golden.files, spec.geometry)
            np.testing.assert_allclose(answers.probabilities, confidence.softmax(answers.logits, 1), atol=1e-6)


def test_no_precision_is_worse_calibrated_than_before(settled: Exported, exported: Exported) -> None:
    """Whether a temperature was fitted or not, in the manifest of either."""
    for entry in (settled, exported):
        for rung in entry.ladder.values():
            assert rung.quality is not None
            assert rung.quality.ece is not None
            assert rung.quality.ece_uncalibrated is not None
            assert rung.quality.ece <= rung.quality.ece_uncalibrated


def test_each_precision_is_a_complete_model_file(settled: Exported) -> None:
    """With its own spec, its own measured quality and its own golden answers."""
    store = ModelStore(settled.path.parents[2])
    test = data.load("digits").test
    for precision in ("fp32", "fp16", "int8"):
        file = store.read(settled.name, settled.version, precision)
        spec = spec_of(file.path)
        predict = evaluate.of_model_file(file.data)
        rung = store.manifest(settled.name, settled.version).ladder[precision]

        assert spec.precision == precision
        assert spec.quality == rung.quality
        top1 = (
            evaluate.answer(predict, test.files, spec.geometry).probabilities.argmax(axis=1) == test.class_ids
        ).mean()
        assert spec.quality is not None
        assert spec.quality.top1 == pytest.approx(top1)
        logits = evaluate.answer(predict, file.golden.files, spec.geometry).logits
        assert file.golden.mismatch(precision, logits) is None


def test_only_what_was_asked_for_is_made(run: Run, tmp_path: Path) -> None:
    """fp32 always is."""
    exported = export(run.best, ModelStore(tmp_path), precisions=["fp16"])

    assert list(exported.ladder) == ["fp32", "fp16"]
