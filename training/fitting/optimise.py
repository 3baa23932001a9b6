"""Optimisers and learning-rate schedules by name, all of them torch's own. Knows nothing of nets and of Lightning."""

import math
from collections.abc import Iterable

from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from training.config import FitConfig

WARM_UP = 0.05  # share of the steps in which `cosine` rises to its peak
STEPS_AT = (0.5, 0.75)  # shares of the run after which `step` divides the rate by 10
PLATEAU_EPOCHS = 5  # epochs without a lower validation loss after which `plateau` divides the rate by 10


def optimizer(config: FitConfig, parameters: Iterable[nn.Parameter]) -> Optimizer:
    """Return AdamW, or SGD with Nesterov's momentum of 0.9, at the rate and decay of *config*."""
    if config.optimizer == "sgd":
        return SGD(parameters, lr=config.learning_rate, momentum=0.9, nesterov=True, weight_decay=config.weight_decay)
    return AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)


def schedule(config: FitConfig, optimizer: Optimizer, steps: int) -> LRScheduler | ReduceLROnPlateau:
    """Return the schedule of *config* over *steps* optimiser steps; `plateau` is asked once an epoch, others each step.

    `one-cycle` after L. N. Smith and N. Topin, "Super-convergence" (2018); `cosine` after I. Loshchilov and F. Hutter,
    "SGDR" (2017), without restarts.
    """
    match config.schedule:
        case "one-cycle":
            return OneCycleLR(optimizer, max_lr=config.learning_rate, total_steps=steps)
        case "cosine":
            return LambdaLR(optimizer, lambda step: cosine(step, steps))
        case "step":
            return LambdaLR(optimizer, lambda step: 0.1 ** sum(step >= share * steps for share in STEPS_AT))
        case "plateau":
            return ReduceLROnPlateau(optimizer, factor=0.1, patience=PLATEAU_EPOCHS)
        case "constant":
            return LambdaLR(optimizer, lambda _step: 1.0)


def cosine(step: int, steps: int) -> float:
    """Return the share of the peak rate at *step*: up in a line, then down along half a cosine to 0."""
    rising = max(1, round(WARM_UP * steps))
    if step < rising:
        return (step + 1) / rising
    return (1 + math.cos(math.pi * min(1.0, (step - rising) / max(1, steps - rising)))) / 2
