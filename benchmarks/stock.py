"""The same model behind stock BentoML: `@bentoml.api(batchable=True)` on PIL images, at the best settings we found.

Metrics, access log and tracing are off, uvicorn runs on uvloop and httptools. What is left is BentoML's own way of a
request: its multipart decoding, its dispatcher, its middlewares.
"""

from pathlib import Path
from typing import Any

import bentoml
import numpy as np
import onnxruntime as ort
from PIL import Image

MODEL = Path(__file__).resolve().parent.parent / "models" / "repository" / "lenet" / "1" / "model.onnx"


@bentoml.service(
    name="stock",
    workers=1,
    threads=1,
    traffic={"timeout": 60},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": ".*"},
)
class Stock:
    """Classifies images as BentoML's documentation does it."""

    def __init__(self) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = ort.InferenceSession(MODEL.read_bytes(), options, providers=["CPUExecutionProvider"])

    @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=1000)
    def classify(self, images: list[Image.Image]) -> list[dict[str, Any]]:
        """Classify a batch."""
        arrays = np.stack([np.asarray(image.convert("L").resize((28, 28)))[:, :, None] for image in images])
        rows = self.session.run(["probabilities"], {"images": arrays})[0]
        return [
            {"predictions": [{"label": str(i), "probability": float(row[i])} for i in (-row).argsort()[:5]]}
            for row in rows
        ]
