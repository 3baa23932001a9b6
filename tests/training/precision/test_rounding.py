"""training/precision/rounding.py: the first layer answers nearer to fp32 than with the nearest integers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from onnx import TensorProto, numpy_helper

from tests.training.graph_factory import make_model, node
from tests.training.test_export import spec_of
from training import data
from training.graphs import IMAGES
from training.precision import quantize, ranges, rounding
from training.publish import Exported

RNG = np.random.default_rng(3)


def convolution(weights: tuple[int, ...], size: tuple[int, int] = (9, 8), **attributes: Any) -> onnx.ModelProto:
    """Pixels of three channels into one convolution."""
    nodes = [
        node("Transpose", [IMAGES], "moved", perm=[0, 3, 1, 2]),
        node("Cast", ["moved"], "floats", to=TensorProto.FLOAT),
        node("Conv", ["floats", "weights"], "maps", **attributes),
    ]
    values = RNG.normal(size=weights).astype(np.float32)
    gives: dict[str, Sequence[str | int]] = {"maps": ["batch", weights[0], "rows", "columns"]}
    model = make_model(nodes, ["batch", *size, 3], gives, {"weights": values}, kind=TensorProto.UINT8, name=IMAGES)
    return onnx.shape_inference.infer_shapes(model)


def test_moments_are_those_of_the_patches_that_a_convolution_sees() -> None:
    """Counted anew with windows of numpy's: padded, with a stride, over several batches."""
    batches = [RNG.integers(0, 256, (size, 9, 8, 3), dtype=np.uint8) for size in (3, 2)]
    found = quantize.moments(convolution((4, 3, 3, 2), pads=[1, 0, 1, 0], strides=[2, 1]), batches)

    images = np.pad(np.concatenate(batches).astype(np.float64), ((0, 0), (1, 1), (0, 0), (0, 0)))
    windows = sliding_window_view(images, (3, 2), axis=(1, 2))[:, ::2]  # (N, rows, columns, C, 3, 2)
    patches = windows.reshape(-1, 3 * 3 * 2)
    assert found is not None
    np.testing.assert_allclose(found, patches.T @ patches / len(patches))


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(convolution((3, 1, 3, 3), group=3), id="each channel by itself"),
        pytest.param(convolution((2, 3, 41, 40), pads=[20] * 4), id="too many inputs"),
    ],
)
def test_other_first_layers_have_none(model: onnx.ModelProto) -> None:
    """They are rounded by the quantizer."""
    assert quantize.moments(model, []) is None


def test_weights_are_rounded_for_what_they_see(settled: Exported) -> None:
    """A trained LeNet's: on images that rounding has not seen, less than half the error; all else is the same."""
    geometry, digits = spec_of(settled.path).geometry, data.load("digits")
    train, test = (list(data.batches(files[:64], geometry, 8)) for files in (digits.train.files, digits.test.files))
    prepared = quantize.prepare(onnx.load(settled.path))
    limits = {name: ranges.least_to_greatest(seen) for name, seen in quantize.observe(prepared, train).items()}
    one_by_one = quantize.to_int8(prepared, limits)
    together = quantize.to_int8(prepared, limits, quantize.moments(prepared, train))
    seen = quantize.moments(prepared, test)
    assert seen is not None

    conv = next(one for one in prepared.graph.node if one.op_type == "Conv")
    weights = tensor(prepared, conv.input[1])
    left = []
    for model in (one_by_one, together):
        scale = tensor(model, f"{conv.input[1]}_scale").reshape(-1, 1, 1, 1)
        lost = (weights - tensor(model, f"{conv.input[1]}_quantized") * scale).reshape(len(weights), -1)
        left.append(np.einsum("oi,ij,oj->", lost, seen, lost))

    assert left[1] < left[0] / 2
    differ = [
        one.name
        for one, other in zip(one_by_one.graph.initializer, together.graph.initializer, strict=True)
        if one != other
    ]
    assert differ == [f"{conv.input[1]}_quantized"]


def test_no_integer_is_larger_than_the_scales_reach() -> None:
    """What would have to go beyond is left to the weights behind it."""
    alike = np.full((3, 3), 1.0) + 0.01 * np.eye(3)  # inputs that are nearly one and the same
    found = rounding._rounded(np.array([[127.4, 127.4, -3.0]]), alike)

    assert found.tolist() == [[127, 127, -2]]  # in sum 252, and 251.8 is what was wanted


def test_of_a_large_image_some_patches_are_seen() -> None:
    """Of all columns, and their moments are near to those of all patches."""
    ramp = np.broadcast_to(np.arange(100, dtype=np.uint8), (60, 100))
    images = np.stack([np.stack([ramp, ramp, ramp], axis=-1)] * 20)
    found = quantize.moments(convolution((2, 3, 1, 1), size=(60, 100)), [images])

    assert found is not None
    np.testing.assert_allclose(found, np.full((3, 3), np.mean(np.arange(100.0) ** 2)), rtol=0.05)


def tensor(model: onnx.ModelProto, name: str) -> np.ndarray:
    """A constant of a model."""
    return numpy_helper.to_array(next(one for one in model.graph.initializer if one.name == name))
