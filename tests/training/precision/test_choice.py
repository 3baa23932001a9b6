"""training/precision/choice.py: what is tried with a trained LeNet, and what is chosen."""

from collections.abc import Iterator

import numpy as np
import onnx
import pytest

from models.spec import Geometry
from tests.training.test_export import spec_of
from training import data, evaluate
from training.data import Pixels
from training.precision import choice, quantize, ranges
from training.publish import Exported


def spread(files: data.Files, geometry: Geometry, count: int) -> Iterator[Pixels]:
    """The first images, in batches."""
    return data.batches(files[:count], geometry, 8)


def best(settled: Exported, images: int) -> tuple[choice.Try, int]:
    """Choose by so many validation images."""
    geometry, digits = spec_of(settled.path).geometry, data.load("digits")
    return choice.best_int8(
        onnx.load(settled.path),
        spread(digits.train.files, geometry, 64),
        spread(digits.validation.files, geometry, images),
    )


def test_one_try_is_enough_where_validation_agrees_on_all_of_many_images(settled: Exported) -> None:
    """The first, which cuts nothing off."""
    found, tries = best(settled, 120)

    assert (found.method, found.agreement, tries) == ("least to greatest", 1, 1)
    assert str(found) == f"least to greatest: agrees on 100.00%, {found.fidelity_db:.1f} dB"


def test_few_images_prove_nothing_and_all_ways_are_tried(settled: Exported) -> None:
    """The one with the least noise is chosen: no other is nearer to fp32."""
    found, tries = best(settled, 40)
    geometry, digits, model = spec_of(settled.path).geometry, data.load("digits"), onnx.load(settled.path)
    calibration = list(spread(digits.train.files, geometry, 64))
    validation = list(spread(digits.validation.files, geometry, 40))
    attempts = list(choice._tries(model, calibration, validation, choice._logits(model, validation)))

    assert tries == len(attempts) == len(ranges.METHODS)
    assert found.agreement == 1
    assert found.rank() == max(attempt.rank() for attempt in attempts)


def test_the_first_layer_is_rounded_for_the_training_images(settled: Exported) -> None:
    """Its integers are those of rounding.py, on the images that the ranges come from."""
    found, _ = best(settled, 120)
    geometry, files = spec_of(settled.path).geometry, data.load("digits").train.files
    prepared, images = quantize.prepare(onnx.load(settled.path)), list(spread(files, geometry, 64))
    limits = {name: ranges.least_to_greatest(seen) for name, seen in quantize.observe(prepared, images).items()}

    assert found.model == quantize.to_int8(prepared, limits, quantize.moments(prepared, images))
    assert found.model != quantize.to_int8(prepared, limits)


def test_the_noise_is_that_of_the_logits(settled: Exported) -> None:
    """As counted anew from the answers of the two files; a hundredth of the signal's power is 20 dB."""
    found, _ = best(settled, 40)
    geometry, files = spec_of(settled.path).geometry, data.load("digits").validation.files[:40]
    fp32, int8 = (
        evaluate.answer(evaluate.of_model_file(content), files, geometry).logits
        for content in (settled.path.read_bytes(), found.model.SerializeToString())
    )
    centred = fp32 - fp32.mean(axis=1, keepdims=True)
    noise = (int8 - fp32) - (int8 - fp32).mean(axis=1, keepdims=True)

    assert found.fidelity_db == pytest.approx(20 * np.log10(np.linalg.norm(centred) / np.linalg.norm(noise)), abs=0.01)
    assert found.fidelity_db > 20
