"""Keeps known asides of the libraries off the screen, so that the warnings that matter are seen."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

ASIDES = (
    r".*LeafSpec.*is deprecated",  # torch 2.13 and Lightning 2.6 use what torch 2.13 deprecates
    r"Checkpoint directory .* exists and is not empty",  # of a run that goes on
    r".*your dataloader is not resumable",  # it is: fitting/loading.py begins where the epoch was left
    r"(?s)Grad strides do not match bucket view strides",  # of a net with one channel, in several processes
    r".*does not have many workers",  # preparing a small image is cheaper than handing it between processes
)
LOGGERS = (
    "lightning.pytorch",  # devices found, tips
    "lightning.fabric.utilities.distributed",  # which process is which
    "torch.onnx._internal.exporter._registration",  # torchvision is not installed
)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the asides for the length of a block; errors, and all other warnings, stay."""
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for message in ASIDES:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
