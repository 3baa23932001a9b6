"""A real model whose faults the image chooses: it takes its time, never ends, or gives NaN.

The first row of a 28×28 image says what: pixel 0 is how many turns of an ONNX Loop to take (255: for ever, as a hung
kernel would), pixel 1 above 200 makes every logit the logarithm of a negative number, pixel 2 ÷ 25 is the class.
"""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from models.spec import METADATA_KEY, ModelSpec
from models.store import GOLDEN, PRECISION_FILES, ModelStore, Rung
from tests.factories import encode, make_spec
from tests.stores import golden_of

NAME = "probe"
TURNS = 4_000  # of the loop, per step of pixel 0: some milliseconds
FOR_EVER = 255
NAN = 255


def probe_image(turns: int = 0, nan: int = 0, class_id: int = 0) -> bytes:
    """An image that makes the model do so."""
    pixels = np.zeros((28, 28), np.uint8)
    pixels[0, :3] = turns, nan, class_id * 25 + 12
    return encode(Image.fromarray(pixels))


def put_probe(root: Path, golden_turns: int = 0) -> None:
    """Add the model to a store; to prove itself, which loading is, it takes so many turns."""
    with ModelStore(root).put(NAME, {"fp32": Rung(admitted=True)}) as (folder, version):
        spec = make_spec(name=NAME, version=version)
        content = _model(spec)
        (folder / PRECISION_FILES["fp32"]).write_bytes(content)
        (folder / GOLDEN).write_bytes(golden_of(spec, {"fp32": content}, files=tuple(_golden(golden_turns))).to_bytes())


def _golden(turns: int) -> list[bytes]:
    return [probe_image(turns=turns, class_id=class_id) for class_id in range(4)]


def _model(spec: ModelSpec) -> bytes:
    classes = len(spec.labels)
    constants = {
        "corner": np.array([0, 0, 0]),
        "corner_end": np.array([1, 3, 1]),
        "axes": np.array([1, 2, 3]),
        "flat": np.array([-1, 3]),
        "turns_per_step": np.array(float(TURNS), np.float32),
        "for_ever": np.array(1e15, np.float32),
        "limit": np.array(float(FOR_EVER), np.float32),
        "yes": np.array(True),
        "nothing": np.array(0.0, np.float32),
        "zero": np.array(0),
        "one": np.array(1),
        "two": np.array(2),
        "above": np.array(200.0, np.float32),
        "centres": (np.arange(classes, dtype=np.float32) * 25 + 12)[None],
        "scale": np.array(0.01, np.float32),
    }
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["goes_on"]),
            helper.make_node("Sin", ["before"], ["after"]),
        ],
        "turn",
        [
            helper.make_tensor_value_info("turn_number", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, []),
        ],
    )
    nodes = [
        helper.make_node("Slice", ["images", "corner", "corner_end", "axes"], ["three"]),
        helper.make_node("Cast", ["three"], ["three_floats"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["three_floats", "flat"], ["pixels"]),  # (N, 3)
        helper.make_node("Gather", ["pixels", "zero"], ["steps"], axis=1),  # (N,)
        helper.make_node("ReduceMax", ["steps"], ["most"], keepdims=0),
        helper.make_node("GreaterOrEqual", ["most", "limit"], ["hangs"]),
        helper.make_node("Mul", ["most", "turns_per_step"], ["some"]),
        helper.make_node("Where", ["hangs", "for_ever", "some"], ["turns_float"]),
        helper.make_node("Cast", ["turns_float"], ["turns"], to=TensorProto.INT64),
        helper.make_node("Loop", ["turns", "yes", "nothing"], ["spun"], body=body),
        helper.make_node("Gather", ["pixels", "one"], ["nan_pixel"], axis=1),
        helper.make_node("Sub", ["above", "nan_pixel"], ["left"]),
        helper.make_node("Log", ["left"], ["log"]),
        helper.make_node("Mul", ["log", "nothing"], ["nan_or_zero"]),  # NaN stays NaN
        helper.make_node("Add", ["nan_or_zero", "spun"], ["fault"]),
        helper.make_node("Unsqueeze", ["fault", "one_axis"], ["fault_column"]),  # (N, 1)
        helper.make_node("Gather", ["pixels", "two"], ["class_pixel"], axis=1),
        helper.make_node("Unsqueeze", ["class_pixel", "one_axis"], ["class_column"]),
        helper.make_node("Sub", ["class_column", "centres"], ["distance"]),  # (N, K)
        helper.make_node("Mul", ["distance", "distance"], ["square"]),
        helper.make_node("Mul", ["square", "scale"], ["far"]),
        helper.make_node("Neg", ["far"], ["near"]),
        helper.make_node("Add", ["near", "fault_column"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    constants["one_axis"] = np.array([1])
    graph = helper.make_graph(
        nodes,
        "probe",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", *spec.geometry.shape])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", classes])
            for name in ("logits", "probabilities")
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {METADATA_KEY: spec.model_dump_json()})
    content: bytes = model.SerializeToString()
    return content
