"""training/importing/original.py: what a file takes and gives, and each file that cannot become a model."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from tests.training.graph_factory import make_model, node
from tests.training.importing.foreign import LABELS, external, make_foreign
from training.errors import InvalidImport
from training.importing.original import read


@pytest.mark.parametrize(("layout", "channels", "batch"), [("nchw", 3, "N"), ("nhwc", 3, 1), ("nchw", 1, 4)])
def test_what_a_file_takes_and_gives_is_seen(tmp_path: Path, layout: str, channels: int, batch: int | str) -> None:
    """Layout, channels, size, a frozen batch, the number of classes, who wrote it."""
    path = make_foreign(tmp_path / "x.onnx", layout=layout, channels=channels, batch=batch)

    found = read(path)

    assert (found.layout, found.channels, found.height, found.width) == (layout, channels, 24, 24)
    assert found.batch == (None if batch == "N" else batch)
    assert (found.input, found.output, found.classes, found.softmax) == ("input", "output", len(LABELS), False)
    assert found.producer == "somebody 1.0"


def test_a_softmax_at_the_end_is_seen(tmp_path: Path) -> None:
    """Behind it may stand what changes no value."""
    assert read(make_foreign(tmp_path / "x.onnx", ends=("Softmax", "Identity"))).softmax


def test_weights_beside_the_file_are_brought_into_it(tmp_path: Path) -> None:
    """They lie in its folder, by name."""
    path = external(make_foreign(tmp_path / "x.onnx"), "x.bin")

    found = read(path)

    assert all(tensor.data_location == TensorProto.DEFAULT for tensor in found.model.graph.initializer)


def plain(takes: list[int | str], kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """A graph that takes this and means it away."""
    nodes = [node("Cast", ["input"], "floats", to=TensorProto.FLOAT), node("Flatten", ["floats"], "output")]
    return make_model(nodes, takes, {"output": ["N", "K"]}, {}, kind=kind)


def two_inputs() -> onnx.ModelProto:
    """A graph of two images."""
    model = plain(["N", 3, 8, 8])
    model.graph.input.add().CopyFrom(model.graph.input[0])
    model.graph.input[1].name = "mask"
    return model


def two_outputs() -> onnx.ModelProto:
    """A graph with boxes beside its classes."""
    model = plain(["N", 3, 8, 8])
    model.graph.output.add().CopyFrom(model.graph.output[0])
    model.graph.output[1].name = "boxes"
    return model


def of_rank_4() -> onnx.ModelProto:
    """A graph that gives a class for each pixel."""
    return make_model([node("Relu", ["input"], "output")], ["N", 3, 8, 8], {"output": ["N", 3, 8, 8]}, {})


def of_opset(number: int) -> onnx.ModelProto:
    """A graph in the words of another time."""
    model = plain(["N", 3, 8, 8])
    model.opset_import[0].version = number
    return model


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (lambda: plain(["N", 784]), "input has rank 2; images are"),
        (lambda: plain(["N", 4, 8, 8]), "an input of (any, 4, 8, 8) has neither 1 nor 3 channels"),
        (lambda: plain(["N", 3, 8, 3]), "may be NCHW or NHWC; say which with --layout"),
        (lambda: plain(["N", "C", "H", "W"]), "may be NCHW or NHWC; say which with --layout"),
        (lambda: plain(["N", 3, 8, 8], TensorProto.UINT8), "input is uint8, not float32 or float16"),
        (two_inputs, "has one input, this has 2: input, mask"),
        (two_outputs, "2 outputs (output, boxes); say which has the classes with --output"),
        (of_rank_4, "output has rank 4; (N, K) is needed"),
        (lambda: of_opset(6), "opset 6; at least 8 is needed"),
        (onnx.ModelProto, "not a readable ONNX file: it has no graph"),
    ],
)
def test_a_file_that_is_no_classifier_of_images_is_refused(
    tmp_path: Path, model: Callable[[], onnx.ModelProto], says: str
) -> None:
    """In one line that names the file and what is wrong with it."""
    path = tmp_path / "x.onnx"
    path.write_bytes(model().SerializeToString())

    with pytest.raises(InvalidImport) as refused:
        read(path)

    assert str(refused.value).startswith(f"{path}: ")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_is_no_file_of_onnx_is_refused(tmp_path: Path) -> None:
    """A text, and nothing at all."""
    (tmp_path / "x.onnx").write_text("<html>404</html>")

    with pytest.raises(InvalidImport, match=r"x\.onnx: not a readable ONNX file"):
        read(tmp_path / "x.onnx")
    with pytest.raises(InvalidImport, match=r"none\.onnx: no such file"):
        read(tmp_path / "none.onnx")


def test_the_layout_can_be_told(tmp_path: Path) -> None:
    """Where three columns look like three channels."""
    path = tmp_path / "x.onnx"
    onnx.save(plain(["N", 3, 8, 3]), path)

    assert read(path, layout="nhwc").height == 3
    assert read(path, layout="nchw").height == 8


def test_an_output_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """With those that are."""
    with pytest.raises(InvalidImport, match=r"no output 'logits'; there are: output"):
        read(make_foreign(tmp_path / "x.onnx"), output="logits")


@pytest.mark.parametrize("ends", [("Softmax", "Softmax"), ("Softmax", "Identity", "Softmax")])
def test_a_second_softmax_is_found(tmp_path: Path, ends: tuple[str, ...]) -> None:
    """It makes all classes nearly equal, and no answer looks wrong."""
    with pytest.raises(InvalidImport, match=r"a second softmax .* stands on the first"):
        read(make_foreign(tmp_path / "x.onnx", ends=ends))


def test_scores_of_several_labels_are_refused(tmp_path: Path) -> None:
    """Sigmoids are no distribution over classes."""
    with pytest.raises(InvalidImport, match="ends in a sigmoid"):
        read(make_foreign(tmp_path / "x.onnx", ends=("Sigmoid",)))


@pytest.mark.parametrize("location", ["../outside.bin", "/etc/hostname", "deeper/../../outside.bin"])
def test_weights_outside_of_the_folder_are_refused(tmp_path: Path, location: str) -> None:
    """Whatever lies there."""
    folder = tmp_path / "model"
    folder.mkdir()
    path = external(make_foreign(folder / "x.onnx"), "x.bin")
    model = onnx.load(path, load_external_data=False)
    tensor = next(tensor for tensor in model.graph.initializer if tensor.external_data)
    tensor.external_data[0].value = location
    path.write_bytes(model.SerializeToString())

    with pytest.raises(InvalidImport) as refused:
        read(path)

    assert str(refused.value) == f"{path}: its weights 'kernel' lie in {location!r}, outside of its folder"


def test_a_link_out_of_the_folder_is_followed_before_it_is_judged(tmp_path: Path) -> None:
    """The name alone says nothing."""
    folder = tmp_path / "model"
    folder.mkdir()
    path = external(make_foreign(folder / "x.onnx"), "x.bin")
    (folder / "x.bin").rename(tmp_path / "x.bin")
    (folder / "x.bin").symlink_to(tmp_path / "x.bin")

    with pytest.raises(InvalidImport, match="outside of its folder"):
        read(path)


@pytest.mark.parametrize("keep", [None, 10])
def test_missing_or_short_weights_are_refused(tmp_path: Path, keep: int | None) -> None:
    """By the name of their file."""
    path = external(make_foreign(tmp_path / "x.onnx"), "x.bin")
    content = (tmp_path / "x.bin").read_bytes()
    (tmp_path / "x.bin").unlink()
    if keep is not None:
        (tmp_path / "x.bin").write_bytes(content[:keep])

    with pytest.raises(InvalidImport, match="'x.bin', which is missing" if keep is None else "weights cannot be read"):
        read(path)


def test_old_files_list_their_weights_among_the_inputs(tmp_path: Path) -> None:
    """That makes them no inputs."""
    path = make_foreign(tmp_path / "x.onnx")
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        model.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    path.write_bytes(model.SerializeToString())

    assert read(path).input == "input"
    assert np.isin(["kernel", "matrix"], [value.name for value in model.graph.input]).all()
