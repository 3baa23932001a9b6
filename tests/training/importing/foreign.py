"""Classifiers as somebody else might have left them: small, of random weights, in each shape that there is."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper

from models.spec import Normalisation
from tests.factories import make_geometry
from tests.training.graph_factory import make_model, node
from training.importing.importer import Wishes
from training.importing.presets import normalisation

LABELS = ("temple", "dahlia", "neither")
SIDE_PX = 24


def make_foreign(
    path: Path,
    *,
    layout: str = "nchw",
    channels: int = 3,
    batch: int | str = "N",
    ends: tuple[str, ...] = (),
    reshape: tuple[int, ...] | None = None,
    classes: int = len(LABELS),
    kind: int = TensorProto.FLOAT,
) -> Path:
    """Convolution, ReLU, mean, fully connected layer, and the operators *ends*; saved at *path*."""
    rng = np.random.default_rng(0)
    dtype = np.float32 if kind == TensorProto.FLOAT else np.float16
    takes = [batch, channels, SIDE_PX, SIDE_PX] if layout == "nchw" else [batch, SIDE_PX, SIDE_PX, channels]
    nodes: list[NodeProto] = []
    if layout == "nhwc":
        nodes.append(node("Transpose", ["input"], "maps", perm=[0, 3, 1, 2]))
    nodes += [
        node("Conv", ["maps" if nodes else "input", "kernel"], "edges", strides=[2, 2]),
        node("Relu", ["edges"], "active"),
        node("GlobalAveragePool", ["active"], "means"),
        node("Reshape", ["means", "shape"], "flat") if reshape else node("Flatten", ["means"], "flat"),
        node("Gemm", ["flat", "matrix", "bias"], "scores" if ends else "output"),
    ]
    value = "scores"
    for number, kind_of in enumerate(ends):
        last = number == len(ends) - 1
        nodes.append(node(kind_of, [value], "output" if last else f"end_{number}"))
        value = f"end_{number}"
    constants = {
        "kernel": (rng.normal(size=(8, channels, 3, 3)) / np.arange(1, channels + 1)[:, None, None]).astype(dtype),
        "matrix": (rng.normal(size=(8, classes)) * 2).astype(dtype),
        "bias": rng.normal(size=classes).astype(dtype),
    }
    if reshape:
        constants["shape"] = np.array(reshape, np.int64)
    model = make_model(nodes, takes, {"output": [batch, classes]}, constants, kind=kind, gives_kind=kind)
    model.producer_name, model.producer_version = "somebody", "1.0"
    onnx.save(model, path)
    return path


def make_wishes(channels: int = 3, **changes: Any) -> Wishes:
    """Labels and geometry of `make_foreign`, with the normalisation of ImageNet."""
    fields: dict[str, Any] = {
        "name": "foreign",
        "labels": LABELS,
        "geometry": make_geometry(mode="RGB" if channels == 3 else "L", height=SIDE_PX, width=SIDE_PX),
        "normalisation": imagenet(channels),
    }
    return Wishes(**{**fields, **changes})


def imagenet(channels: int = 3) -> Normalisation:
    """The normalisation that tests ask for."""
    return normalisation("imagenet-mean-std" if channels == 3 else "zero-one", channels)


def external(path: Path, location: str) -> Path:
    """Move the kernel of the model at *path* into the file *location* beside it, or say that it lies there."""
    model = onnx.load(path)
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "kernel")
    data = tensor.raw_data
    (path.parent / location).write_bytes(data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(len(data)))):
        tensor.external_data.append(onnx.StringStringEntryProto(key=key, value=value))
    path.write_bytes(model.SerializeToString())
    return path


def without_shape(path: Path) -> Path:
    """Take the shape of the output out of the model at *path*, as some converters leave it."""
    model = onnx.load(path)
    (output,) = model.graph.output
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(output.name, TensorProto.FLOAT, None))
    path.write_bytes(model.SerializeToString())
    return path
