"""Served models without a session behind them, for tests of what chooses among them."""

import types
from typing import Any

import numpy as np

from models.store import Precision
from service.catalog import ServedModel
from service.lifecycle import Loaded
from tests.factories import make_spec


def served(name: str = "lenet", version: int = 1, precision: Precision = "fp32") -> ServedModel:
    """A version that can be told from others; it cannot run."""
    session: Any = types.SimpleNamespace(spec=make_spec(name=name, version=version))
    batcher: Any = None
    return ServedModel(
        Loaded(session, precision, "0" * 64, light=True, proof=np.zeros((28, 28, 1), np.uint8), load_s=0), batcher
    )
