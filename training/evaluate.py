"""What a model answers to image files, and how good that is; the same for a checkpoint's network and an ONNX file.

The images go from file bytes through models/preprocess.py, and the figures count models/postprocess.py's answers, as
the service's do. It does not know how a model came about or what its figures are used for.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch

from models.errors import InvalidModelFile, InvalidSpec
from models.postprocess import top_k
from models.spec import METADATA_KEY, PROFILE_BINS, Geometry, ModelSpec, Profile, Quality
from training import confidence
from training.data import ClassIds, Files, Pixels, batches
from training.network import Network

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Answers:
    """Logits (N, K) and probabilities (N, K) of N images."""

    logits: Floats
    probabilities: Floats


Predict = Callable[[Pixels], Answers]  # of uint8 images (N, H, W, C)


def of_network(network: Network) -> Predict:
    """Answer with a PyTorch network, in evaluation mode and without gradients."""
    network.eval()

    def predict(images: Pixels) -> Answers:
        with torch.inference_mode():
            logits, probabilities = network(torch.from_numpy(images))
        return Answers(logits.numpy(), probabilities.numpy())

    return predict


def of_model_file(content: bytes) -> Predict:
    """Answer with the bytes of an ONNX file, in ONNX Runtime on the CPU."""
    return _predict(onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]))


def _predict(session: onnxruntime.InferenceSession) -> Predict:
    def predict(images: Pixels) -> Answers:
        return Answers(*session.run(["logits", "probabilities"], {"images": images}))

    return predict


def open_model_file(content: bytes, source: str) -> tuple[ModelSpec, Predict]:
    """Return the spec inside an ONNX file and what answers with it; raises `InvalidSpec` or `InvalidModelFile`."""
    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has an exception for each way to be wrong
        raise InvalidModelFile(f"{source}: ONNX Runtime cannot load it") from error
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise InvalidSpec(f"{source}: carries no spec; was it exported or imported by this program?")
    return ModelSpec.from_json(text, source), _predict(session)


def answer(predict: Predict, files: Files, geometry: Geometry, batch_size: int = 64) -> Answers:
    """Answer all image files, in order."""
    parts = [predict(images) for images in batches(files, geometry, batch_size)]
    return Answers(
        np.concatenate([part.logits for part in parts]), np.concatenate([part.probabilities for part in parts])
    )


def quality(probabilities: Floats, class_ids: ClassIds) -> Quality:
    """Return what answers (N, K) are worth: shares of images whose class is first, or in the first five, and ECE."""
    names = [str(class_id) for class_id in range(probabilities.shape[1])]
    ranked = [[line["class_id"] for line in top_k(row, names, min(5, len(names)))] for row in probabilities]
    pairs = list(zip(ranked, class_ids.tolist(), strict=True))
    return Quality(
        images=len(pairs),
        top1=sum(ids[0] == truth for ids, truth in pairs) / len(pairs),
        top5=sum(truth in ids for ids, truth in pairs) / len(pairs),
        ece=confidence.ece(probabilities, class_ids),
    )


def profile(probabilities: Floats) -> Profile:
    """Return the share of images that each class is predicted for, and that fall into each tenth of confidence."""
    count, num_classes = probabilities.shape
    predicted = np.bincount(probabilities.argmax(axis=1), minlength=num_classes)
    confidence, _ = np.histogram(probabilities.max(axis=1).clip(0, 1), bins=PROFILE_BINS, range=(0, 1))
    return Profile(classes=tuple((predicted / count).tolist()), confidence=tuple((confidence / count).tolist()))
