"""service/rollout/trial.py: what is kept of images until they are compared."""

from typing import Any, cast

import numpy as np

from service.catalog import ServedModel
from service.outputs import Answer, Outputs
from service.rollout.trial import Meters, Trial


class Anything:
    """Meters, a model, a batcher: counts nothing and is never idle."""

    def __getattr__(self, name: str) -> Any:
        return Anything()

    def __call__(self, *arguments: Any) -> Any:
        return Anything()


async def test_an_image_is_kept_without_the_body_that_it_came_in() -> None:
    """Rows of a batch share its memory, which is a body of megabytes."""

    async def run(image: Any, model: ServedModel) -> Answer | None:
        raise AssertionError(image, model)

    body = bytes(4 * 100)
    rows = np.frombuffer(body, np.uint8).reshape(100, 2, 2, 1)
    nothing, meters = cast("ServedModel", Anything()), cast("Meters", Anything())
    trial = Trial(nothing, nothing, meters, meters, run)
    outputs = Outputs(np.zeros((1, 3), np.float32), np.zeros((1, 3), np.float32))

    trial.answered([rows[1]], [Answer(outputs, 0, 0.0, 0.0)], 0.1)

    (sample,) = trial._samples
    trial.end()
    assert isinstance(sample.image, np.ndarray)
    assert sample.image.base is None
    assert sample.image.tobytes() == bytes(4)
