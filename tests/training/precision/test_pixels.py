"""training/precision/pixels.py: normalisation by rows gives the same integers; other graphs are left alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import NodeProto, TensorProto

from tests.training.graph_factory import make_model, node
from training.graphs import IMAGES
from training.precision import quantize, ranges
from training.precision.pixels import normalise_rows

SIZE = (5, 7)
WEIGHT = np.array([0.017, 0.0175, 0.0174], np.float32).reshape(3, 1, 1)
BIAS = np.array([-2.1, -2.0, -1.8], np.float32).reshape(1, 3, 1, 1)
FLOAT_NODES = (
    node("Transpose", [IMAGES], "moved", perm=[0, 3, 1, 2]),
    node("Cast", ["moved"], "cast", to=TensorProto.FLOAT),
    node("Mul", ["cast", "weight"], "scaled"),
    node("Add", ["scaled", "bias"], "normalised"),
)


def model(nodes: Sequence[NodeProto] = FLOAT_NODES, channels: int = 3, **constants: np.ndarray) -> onnx.ModelProto:
    """Normalisation and what makes integers of it."""
    there = node("QuantizeLinear", [nodes[-1].output[0], "scale", "zero"], "integers")
    back = node("DequantizeLinear", ["integers", "scale", "zero"], "floats")
    return make_model(
        [*nodes, there, back],
        ["batch", *SIZE, channels],
        {"floats": ["batch", channels, "rows", "columns"]},
        {
            "weight": WEIGHT,
            "bias": BIAS,
            "scale": np.array(0.0185, np.float32),
            "zero": np.array(114, np.uint8),
            **constants,
        },
        kind=TensorProto.UINT8,
        name=IMAGES,
    )


def turned(perm: list[int], *, fork: bool = False) -> list[NodeProto]:
    """Other ways to begin: axes in another order, or another use of what the pixels became."""
    nodes = [node("Transpose", [IMAGES], "moved", perm=perm), *FLOAT_NODES[1:]]
    return (
        [*nodes[:-1], node("Mul", ["cast", "scaled"], "mixed"), node("Add", ["mixed", "bias"], "n")] if fork else nodes
    )


def run(given: onnx.ModelProto, batch: int) -> np.ndarray:
    """What a graph makes of noise."""
    images = np.random.default_rng(5).integers(0, 256, (batch, *SIZE, 3), dtype=np.uint8)
    session = onnxruntime.InferenceSession(given.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {IMAGES: images})[0])


@pytest.mark.parametrize("batch", [1, 3])
def test_the_same_integers_come_out_of_rows(batch: int) -> None:
    """Each to the last bit, and pixels are multiplied by vectors as long as a row."""
    before, after = model(), model()
    normalise_rows(after.graph)
    onnx.checker.check_model(after, full_check=True)

    np.testing.assert_array_equal(run(after, batch), run(before, batch))
    kinds = ["Reshape", "Cast", "Mul", "Add", "Reshape", "Transpose", "QuantizeLinear", "DequantizeLinear"]
    assert [one.op_type for one in after.graph.node] == kinds
    tensors = {tensor.name: list(tensor.dims) for tensor in after.graph.initializer}
    assert [tensors[one.input[1]] for one in after.graph.node[2:4]] == [[SIZE[1] * 3]] * 2
    assert "weight" not in tensors


def test_one_number_for_all_channels_is_known_too() -> None:
    """As where a network's own first step scales pixels."""
    before, after = (model(weight=np.array(0.017, np.float32)) for _ in range(2))
    normalise_rows(after.graph)

    np.testing.assert_array_equal(run(after, 2), run(before, 2))
    assert after.graph.node[0].op_type == "Reshape"


def test_quantizing_a_colour_network_puts_rows_in_front() -> None:
    """The way from a float model to int8 leads through here; the answers stay near."""
    weights = np.random.default_rng(3).normal(size=(4, 3, 3, 3)).astype(np.float32)
    nodes = [*FLOAT_NODES, node("Conv", ["normalised", "filters"], "maps"), node("Flatten", ["maps"], "logits")]
    constants: dict[str, Any] = {"weight": WEIGHT, "bias": BIAS, "filters": weights}
    images = np.random.default_rng(5).integers(0, 256, (8, *SIZE, 3), dtype=np.uint8)
    fp32 = make_model(
        nodes, ["batch", *SIZE, 3], {"logits": ["batch", 4 * 3 * 5]}, constants, kind=TensorProto.UINT8, name=IMAGES
    )
    prepared = quantize.prepare(fp32)
    limits = {name: ranges.least_to_greatest(seen) for name, seen in quantize.observe(prepared, [images]).items()}
    int8 = quantize.to_int8(prepared, limits, quantize.moments(prepared, [images]))

    assert [one.op_type for one in int8.graph.node[:2]] == ["Reshape", "Cast"]
    want, got = run(fp32, 8), run(int8, 8)
    assert np.abs(got - want).max() < 0.02 * np.abs(want).max()


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(model(FLOAT_NODES[:2]), id="nothing normalises"),
        pytest.param(model(turned(perm=[0, 3, 2, 1])), id="another layout"),
        pytest.param(model(turned(perm=[0, 3, 1, 2], fork=True)), id="the pixels are used twice"),
        pytest.param(model(weight=np.ones((1, 1, 7), np.float32)), id="a number for each column"),
        pytest.param(model((*FLOAT_NODES, node("Relu", ["normalised"], "positive"))), id="a layer in between"),
        pytest.param(
            model(channels=1, weight=WEIGHT[:1], bias=BIAS[:, :1]),
            id="one channel, whose number is no vector",
        ),
    ],
)
def test_what_is_not_known_stays_as_it_is(given: onnx.ModelProto) -> None:
    """Not a byte of it changes."""
    before = given.SerializeToString(deterministic=True)

    normalise_rows(given.graph)

    assert given.SerializeToString(deterministic=True) == before
