"""training/precision/quantize.py, by the int8 file that it makes of a trained LeNet."""

from pathlib import Path

import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from training.publish import Exported


@pytest.fixture
def int8(settled: Exported) -> Path:
    """The quantized file."""
    return settled.path.with_name("model.int8.onnx")


def test_all_layers_run_on_integers(int8: Path, tmp_path: Path) -> None:
    """ONNX Runtime joins what lies between the first convolution and the logits into integer kernels."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(int8, options, providers=["CPUExecutionProvider"])

    operators = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]

    assert (operators.count("QLinearConv"), operators.count("QGemm")) == (2, 3)
    assert not {"Conv", "Gemm", "MatMul", "Sigmoid"} & set(operators)
    assert operators.count("QuantizeLinear") == 1
    assert "DequantizeLinear" not in operators


def test_weights_have_a_scale_for_each_channel(int8: Path) -> None:
    """Signed weights, unsigned activations; normalisation and logits stay floats."""
    model = onnx.load(int8)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    scales = {name: list(tensor.dims) for name, tensor in tensors.items() if name.endswith("weight_scale")}

    assert sorted(scales.values()) == [[6], [10], [16], [84], [120]]
    weights = [tensor for name, tensor in tensors.items() if name.endswith("weight_quantized")]
    assert {tensor.data_type for tensor in weights} == {TensorProto.INT8}
    assert tensors["normalize.weight"].data_type == TensorProto.FLOAT
    assert [entry.key for entry in model.metadata_props] == ["convserve.spec"]
    assert not [node for node in model.graph.node if "logits" in node.output and node.op_type != "Gemm"]
