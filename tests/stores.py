"""Model stores for tests: versions of small networks that can be told apart by what they answer."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from models.golden import Golden
from models.preprocess import DecodeLimits, preprocess
from models.spec import METADATA_KEY, ModelSpec
from models.store import GOLDEN, PRECISION_FILES, ModelStore, Precision, Rung
from tests.factories import encode, make_image, make_spec

SIDE = 28


def make_model(
    spec: ModelSpec, favourite: int, weights: int = 0, tilt: float = 1.0, *, hates_white: bool = False
) -> bytes:
    """A model file whose answer is class *favourite* for any image, with logits that also depend on the image.

    *weights* is the size of a layer in bytes, for tests of memory; *tilt* how much the favourite is ahead; one that
    *hates_white* cannot run a batch with an image that is all white.
    """
    classes, features = len(spec.labels), int(np.prod(spec.geometry.shape))
    rng = np.random.default_rng(favourite)
    matrix = (rng.random((features, classes)) * 1e-6).astype(np.float32)
    bias = np.zeros(classes, np.float32)
    bias[favourite] = tilt
    constants = {"matrix": matrix, "bias": bias, "flat": np.array([-1, features])}
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["pixels", "flat"], ["row"]),
    ]
    last = "row"
    if weights:  # a wide detour that changes nothing
        wide = weights // (features * 8)
        constants |= {
            "there": rng.random((features, wide)).astype(np.float32),
            "back": np.zeros((wide, features), np.float32),
        }
        nodes += [
            helper.make_node("MatMul", ["row", "there"], ["wide"]),
            helper.make_node("MatMul", ["wide", "back"], ["nothing"]),
            helper.make_node("Add", ["row", "nothing"], ["same"]),
        ]
        last = "same"
    answer = "logits"
    if hates_white:  # looks up the darkest pixel in a table that ends before white
        constants |= {"table": np.zeros(255, np.float32), "image": np.array([1, 2, 3]), "row_end": np.array([1])}
        answer = "sure"
        nodes += [
            helper.make_node("ReduceMin", ["pixels", "image"], ["darkest"], keepdims=0),
            helper.make_node("Cast", ["darkest"], ["index"], to=TensorProto.INT64),
            helper.make_node("Gather", ["table", "index"], ["zero"]),
            helper.make_node("Unsqueeze", ["zero", "row_end"], ["zeros"]),
            helper.make_node("Add", ["sure", "zeros"], ["logits"]),
        ]
    nodes.insert(len(nodes) - (5 if hates_white else 0), helper.make_node("Gemm", [last, "matrix", "bias"], [answer]))
    nodes += [
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    given = {"logits": classes, "probabilities": classes}
    if spec.features is not None:  # the first pixels as they are
        constants["some"] = np.eye(features, spec.features, dtype=np.float32)
        nodes.append(helper.make_node("MatMul", ["row", "some"], ["features"]))
        given["features"] = spec.features
    graph = helper.make_graph(
        nodes,
        "favourite",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", *spec.geometry.shape])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size]) for name, size in given.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {METADATA_KEY: spec.model_dump_json()})
    content: bytes = model.SerializeToString()
    return content


def golden_of(
    spec: ModelSpec, contents: dict[Precision, bytes], images: int = 4, files: tuple[bytes, ...] = ()
) -> Golden:
    """What these model files answer to a few pictures."""
    files = files or tuple(encode(make_image(SIDE, SIDE, seed=seed)) for seed in range(images))
    batch = np.stack([preprocess(file, spec.geometry, DecodeLimits()) for file in files])
    logits: dict[str, Any] = {}
    for precision, content in contents.items():
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        logits[precision] = session.run(["logits"], {"images": batch})[0]
    first = next(iter(logits.values()))
    return Golden(files, first.argmax(axis=1), logits)


def put_version(
    root: Path,
    name: str = "lenet",
    favourite: int | None = None,
    precisions: tuple[Precision, ...] = ("fp32",),
    spec: dict[str, Any] | None = None,
    **model: Any,
) -> int:
    """Add a version that proves itself; it answers with *favourite*, else with the class of its own number."""
    ladder: dict[Precision, Rung] = {precision: Rung(admitted=True) for precision in precisions}
    with ModelStore(root).put(name, ladder) as (folder, version):
        own = make_spec(name=name, version=version, **(spec or {}))
        contents = {
            precision: make_model(
                own.model_copy(update={"precision": precision}), version if favourite is None else favourite, **model
            )
            for precision in precisions
        }
        for precision, content in contents.items():
            (folder / PRECISION_FILES[precision]).write_bytes(content)
        (folder / GOLDEN).write_bytes(golden_of(own, contents).to_bytes())
    return version


def make_store(root: Path, versions: int = 1, name: str = "lenet") -> Path:
    """A store with a model of so many versions, each with its own number as its favourite class."""
    for _ in range(versions):
        put_version(root, name)
    return root


def reserialised(content: bytes, change: Any) -> bytes:
    """A model file with a change made to its protobuf."""
    model = onnx.load_from_string(content)
    change(model)
    data: bytes = model.SerializeToString()
    return data
