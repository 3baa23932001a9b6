"""What the doctor says."""

from typing import NamedTuple


class Finding(NamedTuple):
    """One thing that is wrong: where, what, and what to do."""

    where: str
    what: str
    mend: str
