"""The ways in which training or export can be refused. Knows nothing of the command line, which prints them."""

from pathlib import Path


class TrainingError(Exception):
    """Base of all of them; `str(error)` is one line that names the thing and the limit."""


class UnknownName(TrainingError):
    """A network or a data set that there is none of."""


class InvalidOption(TrainingError):
    """An option that the network, the data set or this machine has not, or a value that does not go with the others."""


class InvalidData(TrainingError):
    """A data set that nothing can be learned from."""


class InvalidCheckpoint(TrainingError):
    """A file that is no checkpoint of ours, or one whose weights do not belong to its network."""


class ExportRefused(TrainingError):
    """The exported graph does not answer as the network does; nothing was written."""


class InvalidRun(TrainingError):
    """A folder that is no run, or a run that cannot be gone on with."""


class Interrupted(TrainingError):
    """A run that was asked to stop before its end, by the signal *signum*."""

    def __init__(self, folder: Path, signum: int) -> None:
        super().__init__(f"{folder}: interrupted")
        self.folder, self.signum = folder, signum
        self.saved = False  # whether there is a checkpoint to go on from
        self.best: Path | None = None  # the checkpoint of a run that had reached its end, and wants only its export
        self.first = True  # of several processes that stop together, the one that says so


class InvalidImport(TrainingError):
    """Somebody else's file that cannot become a model file, or what was said of it and is not so."""


class ServiceFailed(TrainingError):
    """A service that cannot be reached, refuses, or does not answer as ours does."""
