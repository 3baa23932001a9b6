"""What a training run is determined by. Knows no torch, so that the command line can show its defaults at once.

The defaults are those of LeNet on the digits; `configure` has those of any net on any data set.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from training import recipes
from training.options import Activation, DataOptions, Initialisation, Mode, NetOptions, Resize

Optimizer = Literal["adamw", "sgd"]
Schedule = Literal["one-cycle", "cosine", "step", "plateau", "constant"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]

Accelerator = Literal["auto", "cpu", "gpu"]
Strategy = Literal["auto", "ddp"]


@dataclass(frozen=True, slots=True)
class FitConfig:
    """What a run is determined by; it stands, resolved, in the run's folder."""

    net: str = "lenet"
    activation: Activation | None = None  # None: the net's own choice
    init: Initialisation | None = None  # the same
    width: float = 1.0
    batch_norm: bool = False
    dataset: str = "digits"
    size: int | None = None  # side of the images in pixels; None: the data set's own, or what the net needs
    mode: Mode | None = None  # None: the data set's own choice
    resize: Resize | None = None  # the same
    jpeg_draft: bool | None = None  # the same
    strict: bool = False
    epochs: int = 60
    batch_size: int = 32
    optimizer: Optimizer = "adamw"
    schedule: Schedule = "one-cycle"
    learning_rate: float = 0.01  # the schedule's peak
    weight_decay: float = 0.01
    accumulate: int = 1  # batches whose gradients are summed before a step
    patience: int = 0  # epochs without a better validation accuracy after which the run stops; 0: never
    precision: Precision = "auto"  # of the arithmetic in training: mixed on a GPU, fp32 on a CPU
    shift: float = 0.1  # of the side, at most, either way
    zoom: float = 0.1  # the same
    rotate_deg: float = 8.0  # at most, either way
    flip: bool = False
    crop: float = 1.0  # least share of the area that a random crop keeps; 1: no crop
    colour: float = 0.0  # change of brightness, contrast and saturation, at most, either way
    seed: int = 0

    @property
    def options(self) -> NetOptions:
        """What was chosen of the net."""
        return NetOptions(activation=self.activation, init=self.init, width=self.width, batch_norm=self.batch_norm)

    @property
    def data_options(self) -> DataOptions:
        """What was chosen of the data set; its images are at least as large as the net needs them."""
        return DataOptions(
            size=self.size,
            at_least=recipes.recipe(self.net).min_px,
            mode=self.mode,
            resize=self.resize,
            jpeg_draft=self.jpeg_draft,
            strict=self.strict,
        )


@dataclass(frozen=True, slots=True)
class Hardware:
    """What a run is computed on; it can be another when the run is resumed."""

    accelerator: Accelerator = "auto"
    devices: str = "1"  # of this machine: a number, or `auto` for all
    num_nodes: int = 1  # machines
    strategy: Strategy = "auto"
    workers: int | None = None  # processes that prepare images; None: by the accelerator


def configure(net: str, dataset: str, **chosen: Any) -> FitConfig:
    """Return what was *chosen*, and for all else, or where that is None, what suits the net and the data set."""
    suited = asdict(recipes.recipe(net)) | asdict(recipes.variety(dataset))
    del suited["min_px"]
    return FitConfig(
        net=net, dataset=dataset, **suited | {key: value for key, value in chosen.items() if value is not None}
    )
