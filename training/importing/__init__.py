"""A classifier that somebody else trained, as an ONNX file of any framework, becomes a model file of ours."""
