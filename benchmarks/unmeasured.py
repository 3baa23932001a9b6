"""The service as it is, but that it counts nothing: what `metrics_cost` compares it with.

    bentoml serve benchmarks.unmeasured:Unmeasured

What counts on the way of a request does nothing here. Clocks are still read, since answers say where the time went.
"""

from service.machine import Machine
from service.metrics import Counter, Histogram, Metrics, ModelMetrics
from service.model_observer import ModelObserver

_COUNTS = (
    (Counter, ("add", "set")),
    (Histogram, ("observe",)),
    (Metrics, ("request", "reject")),
    (ModelMetrics, ("ran",)),
    (ModelObserver, ("dispatched", "batch", "abandoned", "failed")),
    (Machine, ("start",)),
)


def _nothing(*_: object, **__: object) -> None:
    """Do nothing."""


for _kind, _names in _COUNTS:
    for _name in _names:
        getattr(_kind, _name)  # raises AttributeError where it has another name by now
        setattr(_kind, _name, _nothing)

from service.service import ConvServe as Unmeasured  # noqa: E402 (it is built while it is imported, of the above)

__all__ = ["Unmeasured"]
