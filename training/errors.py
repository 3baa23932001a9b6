"""The ways in which training or export can be refused. Knows nothing of the command line, which prints them."""


class TrainingError(Exception):
    """Base of all of them; `str(error)` is one line that names the thing and the limit."""


class UnknownName(TrainingError):
    """A network or a data set that there is none of."""


class InvalidOption(TrainingError):
    """An option that the network or the data set has not, or a value that it cannot take."""


class InvalidData(TrainingError):
    """A data set that nothing can be learned from."""


class InvalidCheckpoint(TrainingError):
    """A file that is no checkpoint of ours, or one whose weights do not belong to its network."""


class ExportRefused(TrainingError):
    """The exported graph does not answer as the network does; nothing was written."""
