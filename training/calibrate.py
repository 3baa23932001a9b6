"""Calibration: the temperature that is put into a network's softmax, fitted on the validation split.

It scales confidence and changes no answer. The test split is not looked at here.
"""

import os
import tempfile
from pathlib import Path

import numpy as np
import torch

from models.spec import Calibration
from training import checkpoint, confidence, data, evaluate
from training.checkpoint import Blueprint
from training.errors import InvalidCheckpoint
from training.network import Network


def calibrate(path: Path, dataset: data.Dataset | None = None) -> Calibration:
    """Fit the temperature of the checkpoint at *path* and write it into the checkpoint; raises `InvalidCheckpoint`.

    *dataset* is what it was trained on, where that has been loaded already.
    """
    blueprint, network = checkpoint.load(path)
    calibration = measure(blueprint, network, (dataset or data.load(blueprint.dataset)).validation)
    content = torch.load(path, map_location="cpu", weights_only=True)
    content["hyper_parameters"] = blueprint.model_copy(update={"calibration": calibration}).model_dump(mode="json")
    _replace(path, content)
    return calibration


def measure(blueprint: Blueprint, network: Network, validation: data.Split) -> Calibration:
    """Fit the temperature on the validation split of the data that the checkpoint was trained on.

    Raises `InvalidCheckpoint` for a network that answers with infinities.
    """
    answers = evaluate.answer(evaluate.of_network(network), validation.files, blueprint.geometry)
    if not np.isfinite(answers.logits).all():
        raise InvalidCheckpoint(f"its logits on {len(validation.files)} validation images are not finite")
    return confidence.calibration(answers.logits, validation.class_ids)


def _replace(path: Path, content: object) -> None:
    """Write a checkpoint aside and rename it, so that there is always a whole one."""
    descriptor, aside = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            torch.save(content, file)
        Path(aside).chmod(path.stat().st_mode)
        Path(aside).replace(path)
    finally:
        Path(aside).unlink(missing_ok=True)
