"""The serving side: HTTP in, batches through ONNX Runtime, JSON out. Never imports training or torch."""

import os

# ONNX Runtime sends telemetry to its maker since 1.29 unless told not to before it is imported
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"  # the one in pyproject.toml: from a Bento, the package is not installed
