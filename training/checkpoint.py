"""What a checkpoint knows of itself, so that its network is rebuilt from the file alone.

A checkpoint is Lightning's, with a `Blueprint` as its hyperparameters, in plain types: it loads with
`weights_only=True`, which runs no code from the file. Neither Lightning nor ONNX is known here.
"""

import pickle
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from models.spec import Calibration, Geometry, Normalisation, Provenance, first_fault
from training.errors import InvalidCheckpoint
from training.nets import build
from training.network import Network
from training.options import NetOptions, dataset_name

NETWORK_PREFIX = "network."  # where the Lightning module keeps the network


class Blueprint(BaseModel):
    """Everything about a trained network but its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    net: str
    options: NetOptions = NetOptions()
    dataset: str  # where its images come from, on the machine that it was trained on; the spec has the name alone
    labels: tuple[str, ...]
    geometry: Geometry
    normalisation: Normalisation
    seed: int
    git_commit: str | None
    libraries: dict[str, str]
    calibration: Calibration | None = None  # None until it was tried

    @property
    def provenance(self) -> Provenance:
        """Where the weights come from, as the spec says it."""
        return Provenance(
            dataset=dataset_name(self.dataset),
            net=self.net,
            git_commit=self.git_commit,
            seed=self.seed,
            libraries=self.libraries,
        )

    def network(self) -> Network:
        """Build the network, with fresh weights."""
        geometry = self.geometry
        size = (geometry.height, geometry.width)
        net = build(self.net, len(self.labels), geometry.channels, size, self.options)
        network = Network(self.normalisation, net)
        if self.calibration is not None:
            network.temperature = self.calibration.temperature
        return network


def load(path: Path) -> tuple[Blueprint, Network]:
    """Rebuild a trained network, ready to evaluate (`.eval()`, on the CPU); raises `InvalidCheckpoint`."""
    if not path.is_file():
        raise InvalidCheckpoint(f"{path}: no such file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        blueprint = Blueprint.model_validate(content["hyper_parameters"])
        state = content["state_dict"]
    except ValidationError as error:
        raise InvalidCheckpoint(f"{path}: not a checkpoint of ours: {first_fault(error)}") from error
    except (OSError, RuntimeError, EOFError, LookupError, TypeError, pickle.UnpicklingError) as error:
        raise InvalidCheckpoint(f"{path}: not a readable checkpoint") from error
    network = blueprint.network()
    weights = {
        key.removeprefix(NETWORK_PREFIX): value for key, value in state.items() if key.startswith(NETWORK_PREFIX)
    }
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise InvalidCheckpoint(f"{path}: its weights do not belong to a {blueprint.net}") from error
    return blueprint, network.eval()
