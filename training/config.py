"""What a training run is determined by. Knows no torch, so that the command line can show its defaults at once.

The defaults are those of LeNet on the digits; they were chosen by cross-validation without the test split.
"""

from dataclasses import dataclass

from training.options import Activation, Initialisation, NetOptions


@dataclass(frozen=True, slots=True)
class FitConfig:
    """What a run is determined by; it stands, resolved, in the run's folder."""

    net: str = "lenet"
    activation: Activation | None = None  # None: the net's own choice
    init: Initialisation | None = None  # the same
    width: float = 1.0
    batch_norm: bool = False
    dataset: str = "digits"
    epochs: int = 60
    batch_size: int = 32
    learning_rate: float = 0.01  # the peak of the one-cycle schedule
    weight_decay: float = 0.01
    shift: float = 0.1  # of the side, at most, either way
    zoom: float = 0.1  # the same
    rotate_deg: float = 8.0  # at most, either way
    seed: int = 0

    @property
    def options(self) -> NetOptions:
        """What was chosen of the net."""
        return NetOptions(activation=self.activation, init=self.init, width=self.width, batch_norm=self.batch_norm)
