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
def settled(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A LeNet that was trained for long enough to be admitted in all precisions."""
    folder = tmp_path_factory.mktemp("settled")
    return export(fit(FitConfig(epochs=10), folder / "runs").best, ModelStore(folder / "store"))
