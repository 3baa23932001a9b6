"""training/importing/importer.py and adapt.py: what becomes of somebody else's file."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper

from models.store import ModelStore
from tests.training.importing.foreign import LABELS, imagenet, make_foreign, make_wishes, without_shape
from tests.training.test_export import spec_of
from training import calibrate, checkpoint, data, evaluate, graphs
from training.errors import ExportRefused, InvalidImport
from training.fit import Run
from training.importing import importer, samples
from training.importing.adapt import adapt
from training.importing.importer import UNMEASURED, import_
from training.importing.original import read
from training.network import Network
from training.publish import Exported
from training.quiet import quiet


def imported(path: Path, root: Path, channels: int = 3, **wishes: Any) -> tuple[Exported, list[str]]:
    """Import with the samples that come along."""
    return import_(read(path), ModelStore(root), make_wishes(channels, **wishes), samples.bundled(channels))


def stranger(network: Network, folder: Path) -> Path:
    """Our own net as somebody else would export it: floats in, a frozen batch, no spec."""
    path = folder / "stranger.onnx"
    with quiet():
        example = (torch.zeros(1, 1, 28, 28),)
        torch.onnx.export(network.net, example, path, dynamo=True, verbose=False, external_data=False)
    return path


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("ends", [(), ("Softmax",), ("Softmax", "Identity"), ("LogSoftmax",)])
def test_a_foreign_classifier_becomes_a_model_file(
    tmp_path: Path, layout: str, channels: int, ends: tuple[str, ...]
) -> None:
    """uint8 images in, logits and probabilities out, golden images beside it, and nothing claimed that is not known."""
    path = make_foreign(tmp_path / "x.onnx", layout=layout, channels=channels, ends=ends)

    exported, notes = imported(path, tmp_path / "store", channels)

    file = ModelStore(tmp_path / "store").read("foreign", 1)
    spec = spec_of(exported.path)
    kind = "probabilities" if "Softmax" in ends else "logits"
    assert notes == [f"gives {kind}, {layout.upper()} float32"]
    assert (spec.labels, spec.normalisation) == (LABELS, imagenet(channels))
    assert (spec.quality, spec.profile, spec.provenance.net, spec.provenance.dataset) == (None, None, None, None)
    assert spec.provenance.source is not None
    assert (spec.provenance.source.file, spec.provenance.source.producer) == ("x.onnx", "somebody 1.0")
    answers = evaluate.answer(evaluate.of_model_file(file.data), file.golden.files, spec.geometry)
    assert file.golden.mismatch("fp32", answers.logits) is None
    np.testing.assert_allclose(answers.probabilities.sum(axis=1), 1, atol=1e-5)
    assert len({*answers.logits.argmax(axis=1)}) > 1 or channels == 1


@pytest.mark.parametrize("reshape", [None, (1, -1), (1, 8)])
def test_a_frozen_batch_is_found_and_freed(tmp_path: Path, reshape: tuple[int, ...] | None) -> None:
    """Also where a reshape names it; the answers to 1, 2, 7 and 16 images are compared with the original's."""
    path = make_foreign(tmp_path / "x.onnx", batch=1, reshape=reshape)

    exported, notes = imported(path, tmp_path / "store")

    assert notes[1] == "its batch was frozen at 1 and takes any number of images now"
    shape = onnx.load(exported.path).graph.input[0].type.tensor_type.shape
    assert shape.dim[0].dim_param == "batch"


def test_a_batch_that_cannot_be_freed_is_refused(tmp_path: Path) -> None:
    """Here it is computed with: a sum over images."""
    path = make_foreign(tmp_path / "x.onnx", batch=1)
    model = onnx.load(path)
    model.graph.initializer.append(numpy_helper.from_array(np.array([[1.0]], np.float32), "one"))
    last = next(entry for entry in model.graph.node if "output" in entry.output)
    last.output[0] = "summed"
    model.graph.node.append(onnx.helper.make_node("MatMul", ["one", "summed"], ["output"]))
    path.write_bytes(model.SerializeToString())

    with pytest.raises(InvalidImport, match="its batch is frozen at 1 inside too"):
        imported(path, tmp_path / "store")

    assert not (tmp_path / "store").exists()


def test_half_precision_is_taken_as_it_is(tmp_path: Path) -> None:
    """Images become what the file takes, and its answers floats."""
    path = make_foreign(tmp_path / "x.onnx", kind=TensorProto.FLOAT16, ends=("Softmax",))

    _, notes = imported(path, tmp_path / "store")

    assert notes == ["gives probabilities, NCHW float16"]


def test_blue_may_come_first(tmp_path: Path) -> None:
    """The file of a network of Caffe's: another order of channels gives other answers, in the original as in ours."""
    path = make_foreign(tmp_path / "x.onnx")
    results = [imported(path, tmp_path / "store", bgr=bgr)[0].path.read_bytes() for bgr in (False, True)]
    image = np.random.default_rng(0).integers(0, 256, (1, 24, 24, 3), np.uint8)

    rgb, bgr = (
        evaluate.of_model_file(content)(picture) for content, picture in zip(results, (image, image), strict=True)
    )

    assert not np.allclose(rgb.logits, bgr.logits)


def test_the_names_of_the_original_cannot_clash_with_ours(tmp_path: Path) -> None:
    """An input called `images` that takes floats, an output called `logits` that gives probabilities."""
    path = make_foreign(tmp_path / "x.onnx", ends=("Softmax",))
    model = onnx.compose.add_prefix(onnx.load(path), "")
    for entry in model.graph.node:
        entry.input[:] = ["images" if name == "input" else name for name in entry.input]
        entry.output[:] = ["logits" if name == "output" else name for name in entry.output]
    model.graph.input[0].name, model.graph.output[0].name = "images", "logits"
    path.write_bytes(model.SerializeToString())

    assert imported(path, tmp_path / "store")[1] == ["gives probabilities, NCHW float32"]


@pytest.mark.parametrize("count", [2, 4])
def test_a_number_of_labels_that_does_not_match_is_refused(tmp_path: Path, count: int) -> None:
    """By the shape of the output, and where that is not told, by what comes out."""
    path = make_foreign(tmp_path / "x.onnx")
    labels = tuple("abcd"[:count])

    for file in (path, without_shape(make_foreign(tmp_path / "y.onnx"))):
        with pytest.raises(InvalidImport, match=f"{count} labels for 3 classes"):
            imported(file, tmp_path / "store", labels=labels)

    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("ends", "gives", "says"),
    [
        (("Softmax",), "logits", "probabilities already; a second softmax would flatten them"),
        ((), "probabilities", "no probabilities of an image's classes"),
    ],
)
def test_what_is_told_of_the_output_is_not_believed(
    tmp_path: Path, ends: tuple[str, ...], gives: str, says: str
) -> None:
    """The answers to the samples decide."""
    with pytest.raises(InvalidImport, match=says):
        imported(make_foreign(tmp_path / "x.onnx", ends=ends), tmp_path / "store", gives=gives)


def test_a_network_that_does_not_see_is_refused(tmp_path: Path) -> None:
    """The same answer to every image: parity would prove nothing."""
    path = make_foreign(tmp_path / "x.onnx")
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.name == "kernel":
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 0, "kernel"))
    path.write_bytes(model.SerializeToString())

    with pytest.raises(InvalidImport, match="answers the same to all 16 samples"):
        imported(path, tmp_path / "store")


def test_a_file_that_cannot_be_run_is_refused(tmp_path: Path) -> None:
    """An operator that ONNX Runtime has not."""
    path = make_foreign(tmp_path / "x.onnx")
    model = onnx.load(path)
    next(entry for entry in model.graph.node if entry.op_type == "Relu").domain = "com.example"
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    path.write_bytes(model.SerializeToString())

    with pytest.raises(InvalidImport, match=r"x\.onnx: ONNX Runtime cannot run it: "):
        imported(path, tmp_path / "store")


def test_a_model_file_that_answers_differently_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it would with the channels in another order than numpy's."""
    monkeypatch.setattr(importer, "adapt", lambda *given, **named: adapt(*given, **{**named, "bgr": True}))

    with pytest.raises(ExportRefused, match="the model file differs on 16 samples by"):
        imported(make_foreign(tmp_path / "x.onnx"), tmp_path / "store")

    assert not (tmp_path / "store").exists()


def test_precisions_are_not_made_without_a_measure(tmp_path: Path) -> None:
    """The manifest says why."""
    exported, _ = imported(make_foreign(tmp_path / "x.onnx"), tmp_path / "store")

    ladder = ModelStore(tmp_path / "store").manifest("foreign", 1).ladder
    assert {precision: (rung.admitted, rung.reason) for precision, rung in ladder.items()} == {
        "fp32": (True, None),
        "fp16": (False, UNMEASURED),
        "int8": (False, UNMEASURED),
    }
    assert exported.quality is None


def test_with_labelled_images_quality_and_precisions_are_measured(trained: Run, tmp_path: Path) -> None:
    """Our own LeNet as a stranger: floats in, a frozen batch; what comes back is as good as its own export."""
    blueprint, network = checkpoint.load(trained.best)
    digits = data.load("digits")
    path = stranger(network, tmp_path)
    want = evaluate.answer(evaluate.of_network(network), digits.test.files, blueprint.geometry)

    exported, notes = import_(
        read(path),
        ModelStore(tmp_path / "store"),
        make_wishes(
            name="stranger",
            labels=digits.labels,
            geometry=blueprint.geometry,
            normalisation=blueprint.normalisation,
            features=True,
        ),
        samples.bundled(1),
        digits,
    )

    assert "its batch was frozen at 1 and takes any number of images now" in notes
    assert exported.quality is not None
    assert exported.quality.top1 == evaluate.quality(want.probabilities, digits.test.class_ids).top1
    assert exported.quality.dataset == "digits"
    assert {precision: rung.admitted for precision, rung in exported.ladder.items()} == dict.fromkeys(
        ("fp32", "fp16", "int8"), True
    )
    assert spec_of(exported.path).features == 84


def test_with_labelled_images_a_temperature_is_fitted(run: Run, tmp_path: Path) -> None:
    """That which its own export gets of the same validation images."""
    blueprint, network = checkpoint.load(run.best)
    digits = data.load("digits")
    path = stranger(network, tmp_path)
    own = calibrate.measure(blueprint, network, digits.validation)

    exported, notes = import_(
        read(path),
        ModelStore(tmp_path / "store"),
        make_wishes(
            name="stranger",
            labels=digits.labels,
            geometry=blueprint.geometry,
            normalisation=blueprint.normalisation,
            precisions=(),
        ),
        samples.bundled(1),
        digits,
    )

    calibration = spec_of(exported.path).calibration
    assert calibration is not None
    assert calibration.temperature == pytest.approx(own.temperature, rel=1e-3)
    assert calibration.temperature != 1
    assert calibration.ece_after < calibration.ece_before
    assert graphs.temperature(onnx.load(exported.path)) == pytest.approx(calibration.temperature)
    assert f"temperature {calibration.temperature:.3f}" in notes
    assert exported.quality is not None
    assert exported.quality.ece is not None
    assert exported.quality.ece_uncalibrated is not None
    assert exported.quality.ece < exported.quality.ece_uncalibrated


def test_labelled_images_of_another_class_are_refused(tmp_path: Path) -> None:
    """They could only be wrong."""
    path = make_foreign(tmp_path / "x.onnx", channels=1)

    with pytest.raises(InvalidImport, match="data set digits: the model has no label '0'"):
        import_(read(path), ModelStore(tmp_path / "store"), make_wishes(1), samples.bundled(1), data.load("digits"))
