"""What a batcher tells while it works; metrics listen. It must not know what they make of it."""

from typing import Literal, Protocol

Reason = Literal["full", "device_free", "max_wait", "gathered", "drain"]  # why a batch is run now


class Observer(Protocol):
    """Hears of what happens in the batcher; must return at once."""

    def depth(self, waiting: int) -> None:
        """Say how many images are admitted and not yet running."""

    def dispatched(self, reason: Reason) -> None:
        """Say that a batch is given to the device."""

    def batch(self, size: int, inference_s: float) -> None:
        """Say that a batch of *size* images has been answered, and how long it ran."""

    def abandoned(self, stage: str) -> None:
        """Say that nobody waits any more for an image that was in *stage*: decode, queue, inference or respond."""

    def failed(self, size: int) -> None:
        """Say that a batch of *size* images has failed."""
