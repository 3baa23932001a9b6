"""The first batches of a model: they pay for first-time work, and show how large a batch is worth forming.

Past some size a batch is no faster an image, on a CPU soon: a larger one would only make everybody in it wait longer,
and leave less to decode while it runs. It knows a function that runs a batch, nothing of models or requests.
"""

from collections.abc import Callable, Mapping
from time import perf_counter

import numpy as np
import numpy.typing as npt

_WORTH = 0.02  # of the time that an image takes: if even an endless batch saves no more, nobody need wait for it
_FEWEST_SIZES = (
    4  # before that is judged, where there are as many: of a line through three, one disturbed makes another
)
_RUNS = 2  # of each size at least, the best one counts: the first of them does the first-time work
_LONG_S = 1.0  # a size is run again until it has taken so long or has run this often: what is short is easily disturbed
_MOST_RUNS = 8
_LONGEST_S = 2.0  # of a batch: so that starts stay short, and waits too


Run = Callable[[npt.NDArray[np.uint8]], object]


def warm_up(
    run: Run, shape: tuple[int, int, int], max_batch_size: int, clock: Callable[[], float] = perf_counter
) -> int:
    """Run powers of two up to the limit, and the limit; return the first size that has nearly all there is to win.

    Images are (H, W, C) of *shape*. Ends early there, or where the next batch would take seconds.
    """
    image_s: dict[int, float] = {}  # batch size → time of one image in it
    for size in sizes(max_batch_size):
        batch_s = _best(run, np.zeros((size, *shape), np.uint8), clock)
        image_s[size] = min([batch_s / size, *image_s.values()])  # slower than in a smaller batch: it was disturbed
        if len(image_s) >= _FEWEST_SIZES and (good := _good_size(image_s)) is not None:
            return good
        if 2 * batch_s > _LONGEST_S:
            break
    return (_good_size(image_s) if len(image_s) > 1 else None) or max(image_s)


def _good_size(image_s: Mapping[int, float]) -> int | None:
    """Return the smallest size in which an image takes hardly longer than it would in an endless batch, if any does.

    A batch costs something of its own, such as reading all weights, and something for each image, so the time of an
    image is a line over one part in the size. All sizes have their say in it, the smallest most: it is run most often.
    """
    own_s, each_s = np.polyfit([1 / size for size in image_s], list(image_s.values()), 1)
    return min((size for size in image_s if own_s / size <= _WORTH * (own_s / size + each_s)), default=None)


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
