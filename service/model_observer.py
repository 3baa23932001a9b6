"""Writes what happens before and on the device of one model into its metrics."""

from collections.abc import Callable

from service.families import MODEL_NODES
from service.lanes import Image
from service.lifecycle import Loaded
from service.metrics import Metrics
from service.observer import Reason
from service.outputs import Outputs
from service.quality.live import Quality
from service.settings import Settings


class ModelObserver:
    """The `Observer` of one model's batcher."""

    def __init__(self, metrics: Metrics, loaded: Loaded, settings: Settings) -> None:
        spec = loaded.session.spec
        self._metrics = metrics
        self._model = metrics.model(spec.name, spec.version)
        self.depth = self._model.queue_depth.set
        self._quality: Quality | None = None
        if settings.quality:
            window = settings.drift_window / settings.workers
            self._quality = Quality(metrics, spec, classes=settings.quality_classes, window=window)
        for provider, count in loaded.session.placement.nodes.items():
            metrics.series(MODEL_NODES, spec.name, str(spec.version), loaded.precision, provider).set(count)

    def looked_at(self, run: Callable[[Image], Outputs]) -> Callable[[Image], Outputs]:
        """Return what the batcher is to run in place of *run*."""
        return run if self._quality is None else self._quality.watched(run)

    def dispatched(self, reason: Reason) -> None:
        """Count a batch by why it is run now."""
        self._model.dispatches[reason].add()

    def batch(self, size: int, inference_s: float) -> None:
        """Count a batch, and what its answers look like."""
        self._model.ran(size, inference_s)
        if self._quality is not None:
            self._quality.count()

    def abandoned(self, stage: str) -> None:
        """Count what nobody waits for any more."""
        self._metrics.cancelled[stage].add()

    def failed(self, size: int) -> None:
        """Count images that got no answer."""
        self._metrics.internal_errors["inference"].add(size)
