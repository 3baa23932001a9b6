"""The limit of a model on this machine: decode and session driven from memory, overlapped as well as can be, no HTTP.

    python -m benchmarks.limit STORE NAME PRECISION PHOTO --seconds 5 [--batch 16] [--in-flight 8]

The decoders keep two batches ahead of the one that runs; with --in-flight, no more images are begun than so many
clients would send that wait for their answers. Without --batch, sizes up to 32 are tried and the best counts.
Prints one JSON line: {"per_second", "batch"}.
"""

import argparse
import json
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import numpy.typing as npt

from models.preprocess import DecodeLimits, preprocess
from models.store import ModelStore
from service import session

Pixels = npt.NDArray[np.uint8]
_AHEAD = 2  # batches
_BATCHES = (4, 8, 16, 32)


def main() -> None:
    """Measure one model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("name")
    parser.add_argument("precision", choices=["fp32", "fp16", "int8"])
    parser.add_argument("photo", type=Path)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--in-flight", type=int, default=(1 + _AHEAD) * max(_BATCHES))
    arguments = parser.parse_args()
    store = ModelStore(arguments.store)
    file = store.read(arguments.name, store.versions(arguments.name)[-1], arguments.precision)
    cores = len(os.sched_getaffinity(0))
    loaded = session.load(file, "cpu", cores)
    photo = arguments.photo.read_bytes()
    with ThreadPoolExecutor(cores) as decoders:
        decode = partial(decoders.submit, preprocess, photo, loaded.spec.geometry, DecodeLimits())
        tried = {
            batch: _drive(loaded, decode, batch, min(arguments.in_flight, (1 + _AHEAD) * batch), arguments.seconds)
            for batch in ([arguments.batch] if arguments.batch else _BATCHES)
            if batch <= arguments.in_flight
        }
    best = max(tried, key=lambda batch: tried[batch])
    print(json.dumps({"per_second": tried[best], "batch": best}))


def _drive(
    loaded: session.Session, decode: Callable[[], Future[Pixels]], batch: int, in_flight: int, seconds: float
) -> float:
    """Return images per second in batches of one size, after a batch that does not count."""
    ahead: deque[Future[Pixels]] = deque()

    def run() -> None:
        while len(ahead) < in_flight:
            ahead.append(decode())
        loaded.run(np.stack([ahead.popleft().result() for _ in range(batch)]))

    run()
    started = perf_counter()
    images = 0
    while (passed := perf_counter() - started) < seconds:
        run()
        images += batch
    for future in ahead:
        future.cancel()
    return images / passed


if __name__ == "__main__":
    main()
