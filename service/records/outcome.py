"""What came of a request that was classified, for those who write it down."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from service.catalog import ServedModel
from service.http import Timings
from service.outputs import Answer


class Outcome(NamedTuple):
    """The model and, image by image, its answer or what else came of it; *files* are empty where there were none."""

    model: ServedModel
    results: Sequence[Answer | Any]
    files: Sequence[bytes] = ()


class Answered(NamedTuple):
    """An outcome with the request that it belongs to."""

    request_id: str
    trace_id: str | None
    client: str
    outcome: Outcome
    timings: Timings
    respond_s: float


class Top(NamedTuple):
    """The best class of one image."""

    image: int  # its place in the request
    class_id: int
    label: str
    probability: float


def tops(outcome: Outcome) -> list[Top]:
    """Return the best class of each image that has an answer."""
    labels = outcome.model.spec.labels
    found = []
    for index, result in enumerate(outcome.results):
        if isinstance(result, Answer):
            class_id = int(result.probabilities.argmax())
            found.append(Top(index, class_id, labels[class_id], float(result.probabilities[class_id])))
    return found
