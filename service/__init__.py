"""The serving side: HTTP in, batches through ONNX Runtime, JSON out. Never imports training or torch."""
