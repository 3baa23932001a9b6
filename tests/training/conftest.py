"""One short training and one export, shared by all tests that need a checkpoint or a model file of any quality."""

import pytest
import torch

from models.store import ModelStore
from training.config import FitConfig
from training.export import export
from training.fit import Run, fit
from training.publish import Exported

torch.set_num_threads(1)  # LeNet is too small to share, and on a busy machine threads wait for each other


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two epochs of LeNet on the digits."""
    return fit(FitConfig(epochs=2), tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    """The store that `exported` is in."""
    return ModelStore(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def exported(run: Run, store: ModelStore) -> Exported:
    """The run's best checkpoint, exported as version 1 of lenet."""
    return export(run.best, store)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A LeNet with ReLU, which learns the digits in four epochs."""
    config = FitConfig(activation="relu", epochs=4, learning_rate=0.005)
    return fit(config, tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="session")
def settled(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Its export, which is admitted in all precisions."""
    return export(trained.best, ModelStore(tmp_path_factory.mktemp("settled")))
