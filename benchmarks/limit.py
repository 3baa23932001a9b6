"""The limit of a model on this machine: decode and session driven from memory, overlapped as well as can be, no HTTP.

    python -m benchmarks.limit STORE NAME PRECISION PHOTO --seconds 5 [--batch 16]

The decoders keep two batches ahead of the one that runs. Without --batch, sizes up to 32 are tried and the best counts.
Prints one JSON line: {"per_second", "batch"}.
"""

import argparse
import json
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

import numpy as np
import numpy.typing as npt

from models.preprocess import DecodeLimits, preprocess
from models.store import ModelStore
from service import session

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
    arguments = parser.parse_args()
    store = ModelStore(arguments.store)
    file = store.read(arguments.name, store.versions(arguments.name)[-1], arguments.precision)
    cores = len(os.sched_getaffinity(0))
    loaded = session.load(file, "cpu", cores)
    photo = arguments.photo.read_bytes()
    with ThreadPoolExecutor(cores) as decoders:
        tried = {
            batch: _drive(loaded, photo, decoders, batch, arguments.seconds)
            for batch in ([arguments.batch] if arguments.batch else _BATCHES)
        }
    best = max(tried, key=lambda batch: tried[batch])
    print(json.dumps({"per_second": tried[best], "batch": best}))


def _drive(loaded: session.Session, photo: bytes, decoders: ThreadPoolExecutor, batch: int, seconds: float) -> float:
    """Return images per second in batches of one size, after a batch that does not count."""
    ahead: deque[Future[npt.NDArray[np.uint8]]] = deque()

    def run() -> None:
        while len(ahead) < (1 + _AHEAD) * batch:
            ahead.append(decoders.submit(preprocess, photo, loaded.spec.geometry, DecodeLimits()))
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
