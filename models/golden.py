"""Golden images: a few files of the test split with the answers that a model must give for them, wherever it runs.

They lie beside the model file as `golden.npz`, image files as they were (not arrays), so that the whole way from
bytes to logits is proved.
"""

import io
import zipfile
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.errors import InvalidModelFile

GOLDEN_IMAGES = 16
# Of the largest logit. Wider than export's parity: it holds across machines and, for fp32, execution providers.
# Fewer bits leave more room: a sum that is rounded elsewhere moves an 8-bit value by a whole step.
TOLERANCE = {"fp32": 1e-3, "fp16": 2e-2, "int8": 5e-2}
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Golden:
    """N image files, the class_ids (N,) that fp32 predicts for them, and per precision their logits (N, K)."""

    files: tuple[bytes, ...]
    class_ids: npt.NDArray[np.int64]
    logits: dict[str, Floats]

    def to_bytes(self) -> bytes:
        """Serialise as `.npz`; image files are laid end to end, with their lengths."""
        arrays: dict[str, npt.NDArray[np.generic]] = {
            "files": np.frombuffer(b"".join(self.files), np.uint8),
            "lengths": np.array([len(file) for file in self.files], np.int64),
            "class_ids": self.class_ids,
        }
        arrays |= {f"logits_{precision}": logits for precision, logits in self.logits.items()}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, source: str) -> "Golden":
        """Parse what `to_bytes` made; raises `InvalidModelFile` that names *source*."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                ends = np.cumsum(arrays["lengths"]).tolist()
                blob = arrays["files"].tobytes()
                class_ids = arrays["class_ids"]
                logits = {key.removeprefix("logits_"): arrays[key] for key in arrays if key.startswith("logits_")}
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise InvalidModelFile(f"{source}: not a readable golden file") from error
        files = tuple(blob[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True))
        shapes = {(len(files), *rest) for rest in (logit.shape[1:] for logit in logits.values())}
        consistent = bool(files) and len(blob) == ends[-1] and class_ids.shape == (len(files),) and len(shapes) == 1
        if not consistent or any(logit.shape not in shapes for logit in logits.values()):
            raise InvalidModelFile(f"{source}: its arrays disagree about the number of images or classes")
        return cls(files, class_ids, logits)

    def mismatch(self, precision: str, logits: Floats) -> str | None:
        """Say in one line how *logits* (N, K) differ from the golden ones of that precision, or return None.

        They may by `t + t · max|logit|` with the precision's `TOLERANCE` t; the first class is the same wherever
        it leads by more than that.
        """
        want = self.logits.get(precision)
        if want is None:
            return f"no golden logits for precision {precision}"
        if logits.shape != want.shape:
            return f"logits of shape {logits.shape} instead of {want.shape}"
        if not np.isfinite(logits).all():
            return "logits that are not finite"
        tolerance = TOLERANCE[precision]
        worst, bound = float(np.abs(logits - want).max()), tolerance + tolerance * float(np.abs(want).max())
        second, first = np.sort(want, axis=1)[:, -2:].T
        wrong = np.flatnonzero((logits.argmax(axis=1) != want.argmax(axis=1)) & (first - second > bound))
        if wrong.size:
            image = int(wrong[0])
            got, golden = int(logits[image].argmax()), int(want[image].argmax())
            return f"golden image {image} gives class {got} instead of {golden}"
        return f"golden logits differ by {worst:.3g}, more than {bound:.3g}" if worst > bound else None
