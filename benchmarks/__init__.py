"""Load generators, the ceiling and the peers. The service is a URL here; nothing of it is imported but its session."""

import os

# ONNX Runtime sends telemetry to its maker since 1.29 unless told not to before it is imported
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
