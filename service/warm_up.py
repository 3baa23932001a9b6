"""The first batches of a model: they pay for first-time work, and show how large a batch is worth forming.

Past some size a batch is no faster an image, on a CPU soon: a larger one would only make everybody in it wait longer,
and leave less to decode while it runs. It knows a function that runs a batch, nothing of models or requests.
"""

from collections.abc import Callable
from time import perf_counter

import numpy as np
import numpy.typing as npt

_WORTH = 0.03  # what a larger batch must save of the time an image takes
_RUNS = 2  # of each size at least, the best one counts: the first of them does the first-time work
_LONG_S = 0.5  # a size is run again until it has taken so long or has run this often: what is short is easily disturbed
_MOST_RUNS = 6
_LONGEST_S = 2.0  # of a batch: a larger one is not tried, so that starts stay short, and waits too


Run = Callable[[npt.NDArray[np.uint8]], object]


def warm_up(
    run: Run, shape: tuple[int, int, int], max_batch_size: int, clock: Callable[[], float] = perf_counter
) -> int:
    """Run powers of two up to the limit, and the limit; return the smallest size that is about as good as the best.

    Images are (H, W, C) of *shape*. Ends early when two doublings in a row have won nothing, or a batch takes seconds.
    """
    image_s: dict[int, float] = {}  # batch size → time of one image in it
    for size in sizes(max_batch_size):
        images = np.zeros((size, *shape), np.uint8)
        image_s[size] = _best(run, images, clock) / size
        *before, last_but_one, last = [float("inf"), float("inf"), *image_s.values()]
        if min(last_but_one, last) > min(before) * (1 - _WORTH):
            break
        if image_s[size] * size > _LONGEST_S:
            break
    good = min(image_s.values()) / (1 - _WORTH)
    return min(size for size, seconds in image_s.items() if seconds <= good)


def sizes(max_batch_size: int) -> list[int]:
    """Return 1, 2, 4 and so on up to the limit, and the limit."""
    powers = [1 << i for i in range(max_batch_size.bit_length())]
    return powers if powers[-1] == max_batch_size else [*powers, max_batch_size]


def _best(run: Run, images: npt.NDArray[np.uint8], clock: Callable[[], float]) -> float:
    times: list[float] = []
    while len(times) < _RUNS or (sum(times) < _LONG_S and len(times) < _MOST_RUNS):
        times.append(_time(run, images, clock))
    return min(times)


def _time(run: Run, images: npt.NDArray[np.uint8], clock: Callable[[], float]) -> float:
    started = clock()
    run(images)
    return clock() - started
