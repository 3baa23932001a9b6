"""The serving side: HTTP in, batches through ONNX Runtime, JSON out. Never imports training or torch."""

__version__ = "0.1.0"  # the one in pyproject.toml: from a Bento, the package is not installed
