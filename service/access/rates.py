"""How many requests per second each key may make: one token bucket a key, in each worker its share."""

import math
from collections.abc import Callable
from time import monotonic

from service.access.keys import Key


class TokenBucket:
    """Holds up to a second's worth of tokens, at least one, and is refilled steadily."""

    __slots__ = ("_at", "_burst", "_tokens", "rate_per_s")

    def __init__(self, rate_per_s: float, now: float) -> None:
        self.rate_per_s = rate_per_s
        self._burst = max(1.0, rate_per_s)
        self._tokens = self._burst
        self._at = now

    def take(self, now: float) -> float:
        """Take a token and return 0, or take none and return the seconds until there is one."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self.rate_per_s)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0
        return (1 - self._tokens) / self.rate_per_s


class Rates:
    """The buckets of one worker. A worker enforces its share, limit ÷ workers: nothing is asked of the others."""

    def __init__(self, default_per_s: float | None, workers: int, clock: Callable[[], float] = monotonic) -> None:
        self._default_per_s = default_per_s
        self._workers = workers
        self._clock = clock
        self._buckets: dict[str, TokenBucket] = {}

    def retry_after_s(self, key: Key) -> int:
        """Count a request of *key*; return 0, or the whole seconds after which it may be sent again."""
        limit = self._default_per_s if key.rate_per_s is None else key.rate_per_s
        if limit is None:
            return 0
        now, share = self._clock(), limit / self._workers
        bucket = self._buckets.get(key.name)
        if bucket is None or bucket.rate_per_s != share:  # the file has changed
            bucket = self._buckets[key.name] = TokenBucket(share, now)
        return math.ceil(bucket.take(now))
