"""Turns labelled images into model files whose quality is measured: fit, evaluate, export, put into the store.

Depends on `models/` and on torch; never on the service, which knows its models only by the files that come from here.
"""

import os

# ONNX Runtime sends telemetry to its maker since 1.29 unless told not to before it is imported
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
