"""The rate limit: one request a period for each key, and some more at once after a quiet time if the plan has them."""

SLACK = 1e-6
"""Seconds by which a request may come early, because clocks are floating-point numbers."""
_EXACT = 200
"""Speed up to which what comes too soon by three quarters of a period is always refused."""
_LATE = 0.02
"""Real seconds for which a busy machine may leave a request that has arrived unseen."""
_VERY_LATE = 0.05
"""The same at a higher speed, where such delays are longer than periods."""


def slack(period: float, speed: float, *, real: bool) -> float:
    """Return by how many seconds a request may seem to come early: one before it may have been seen late.

    `period`: in seconds of the loop. At speed 1 a client's own margin is longer than that; at a higher speed it is not,
    as the machine's delays are no shorter. On average nobody gets more than the limit by this. `real`: whether time is
    the machine's.
    """
    if not real or speed <= 1:
        return SLACK
    return min(_LATE, 0.75 * period) if speed <= _EXACT else _VERY_LATE


class Limit:
    """Says for each request whether it comes too soon. Knows no clock: the time is an argument."""

    def __init__(self, period: float, capacity: int = 1, slack: float = SLACK) -> None:
        self.period = period
        self.capacity = capacity
        self.slack = slack
        self._free_at: dict[str, float] = {}
        self._before: dict[str, tuple[float, float]] = {}

    def wait(self, key: str, now: float) -> float:
        """Let the request in and return 0, or return the seconds by which it came too soon.

        Refused requests do not count: the period starts with a request that was let in.
        """
        free_at = self._free_at.get(key, now)
        wait = free_at - (self.capacity - 1) * self.period - now
        if wait > self.slack:
            return wait
        self._before[key] = now, free_at
        self._free_at[key] = max(free_at, now) + self.period
        return 0.0

    def forget(self, key: str, at: float) -> None:
        """Take back that a request was let in at `at`: the next may come at once, as if it had been refused."""
        when, free_at = self._before.get(key, (None, 0.0))
        if when == at:
            self._free_at[key] = free_at
            del self._before[key]
