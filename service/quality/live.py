"""What the answers of one version look like: classes, confidence, margin, entropy, and how bright its images are.

The classes are counted with each batch, so that they add up to the images answered whatever happens to the worker.
The rest is statistics: it is gathered and worked out for many images at once, a second late at most. No image and no
answer is kept beyond that.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from models.spec import PROFILE_BINS, ModelSpec
from service import families
from service.families import Family
from service.metrics import Block, Metrics
from service.outputs import Outputs

Pixels = npt.NDArray[np.uint8]
FOLD_S: Final = 1.0
_FOLD_IMAGES: Final = 512
_FOLD_VALUES: Final = 32_768  # probabilities; more at once would hold up the loop
_SIDE: Final = 32  # pixels a side that brightness is taken from
_TINY: Final = np.float32(1e-30)
OTHER: Final = "other"
_UNKNOWN: Final = 1e9  # images of the profile, where the spec does not say how many: taken as exact


class Quality:
    """Counts what one version of a model answers; everything but `watched` belongs to the event loop.

    At most *classes* classes have a series of their own, the most frequent of the profile; *window* is how many images
    the drift is measured over, in this worker.
    """

    def __init__(self, metrics: Metrics, spec: ModelSpec, *, classes: int, window: float) -> None:
        labels = (spec.name, str(spec.version))
        self._slots, names = _slots(spec, classes)
        self._slot_list: list[int] = self._slots.tolist()
        self._classes = metrics.block(families.PREDICTIONS, (*labels, *names), len(names))
        self._histograms = {
            family: metrics.block(family, labels, len(family.edges) + 2)
            for family in (families.CONFIDENCE, families.MARGIN, families.ENTROPY, families.BRIGHTNESS)
        }
        self._window = window
        self._windows: dict[str, Block] = {}
        if spec.profile is not None:
            classes_expected = np.bincount(self._slots, weights=spec.profile.classes, minlength=len(names))
            images = spec.quality.images if spec.quality is not None else _UNKNOWN
            for kind, shares in (("classes", classes_expected), ("confidence", np.array(spec.profile.confidence))):
                metrics.block(families.REFERENCE, (*labels, kind), len(shares) + 1).set((*shares, images))
                self._windows[kind] = block = metrics.block(families.WINDOW, (*labels, kind), len(shares) + 1)
                block.set((*block.values()[:-1], window))
        self._fresh: deque[tuple[Pixels, Outputs]] = deque()
        self._gathered: list[tuple[Pixels, npt.NDArray[np.float32], npt.NDArray[np.intp]]] = []
        self._images = 0
        self._most = min(_FOLD_IMAGES, max(1, _FOLD_VALUES // len(spec.labels)))
        self._timer: asyncio.TimerHandle | None = None

    def watched(self, run: Callable[[Pixels], Outputs]) -> Callable[[Pixels], Outputs]:
        """Return *run*, looked at: the device's thread notes what went in and what came out, and no more."""

        def watched(images: Pixels) -> Outputs:
            outputs = run(images)
            self._fresh.append((images, outputs))
            return outputs

        return watched

    def count(self) -> None:
        """Count the classes of what has been answered since, and gather the rest."""
        values, start, slots = self._classes.all, self._classes.index, self._slot_list
        while self._fresh:
            images, outputs = self._fresh.popleft()
            probabilities = outputs.probabilities
            if unusable := outputs.unusable():
                usable = [row for row in range(len(images)) if row not in unusable]
                images, probabilities = images[usable], probabilities[usable]
                if not usable:
                    continue
            top = probabilities.argmax(axis=1)
            shared = values()
            for class_id in top.tolist():
                shared[start + slots[class_id]] += 1.0
            # a copy: what the runtime gave out keeps all that its session has ever run with, though that is closed
            self._gathered.append((_thinned(images), probabilities.copy(), top))
            self._images += len(top)
        if self._images >= self._most:
            self.fold()
        elif self._timer is None and self._gathered:
            self._timer = asyncio.get_running_loop().call_later(FOLD_S, self.fold)

    def fold(self) -> None:
        """Work out what was gathered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        gathered, self._gathered, self._images = self._gathered, [], 0
        if not gathered:
            return
        probabilities = np.concatenate([one[1] for one in gathered])  # (N, K)
        top = np.concatenate([one[2] for one in gathered])  # (N,)
        second, first = np.partition(probabilities, -2, axis=1)[:, -2:].T
        surprise = probabilities * np.log(np.maximum(probabilities, _TINY))
        entropy = surprise.sum(axis=1) / -np.log(probabilities.shape[1])
        pixels = np.concatenate([one[0] for one in gathered]).reshape(len(top), -1)
        brightness = pixels.sum(axis=1, dtype=np.uint32) / (255 * pixels.shape[1])
        self._observe(families.CONFIDENCE, first)
        self._observe(families.MARGIN, first - second)
        self._observe(families.ENTROPY, entropy)
        self._observe(families.BRIGHTNESS, brightness)
        if self._windows:
            bins = (first * PROFILE_BINS).astype(np.intp).clip(0, PROFILE_BINS - 1)
            self._remember("classes", self._slots[top])
            self._remember("confidence", bins)

    def _observe(self, family: Family, values: npt.NDArray[np.floating]) -> None:
        counts = np.bincount(np.searchsorted(family.edges, values), minlength=len(family.edges) + 1)
        self._histograms[family].add((*counts.tolist(), float(values.sum())))

    def _remember(self, kind: str, bins: npt.NDArray[np.intp]) -> None:
        """Let the counts fade by a window's share for each image, and add the new ones so that they sum to it."""
        block = self._windows[kind]
        before = np.array(block.values()[:-1])
        kept = (1 - 1 / self._window) ** len(bins)
        counts = np.bincount(bins, minlength=len(before)) * ((1 - kept) * self._window / len(bins))
        block.set((*(before * kept + counts).tolist(), self._window))


def _slots(spec: ModelSpec, most: int) -> tuple[npt.NDArray[np.intp], Sequence[str]]:
    """Return the series of each class, (K,), and their names: the last is for all others where there are more."""
    count = len(spec.labels)
    if count <= most:
        return np.arange(count), spec.labels
    shares = np.array(spec.profile.classes if spec.profile is not None else np.zeros(count))
    own = np.sort((-shares).argsort(kind="stable")[:most])
    slots = np.full(count, most)
    slots[own] = np.arange(most)
    return slots, (*(spec.labels[class_id] for class_id in own), OTHER)


def _thinned(images: Pixels) -> Pixels:
    """Return a few rows and columns of *images* (N, H, W, C): enough for brightness, and little to keep."""
    step = max(1, min(images.shape[1:3]) // _SIDE)
    return images if step == 1 else images[:, ::step, ::step].copy()
