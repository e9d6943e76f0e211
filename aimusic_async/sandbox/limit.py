"""The rate limit: one request a period for each key, timed from the last one that was let in."""

SLACK = 1e-6
"""Seconds by which a request may come early, because clocks are floating-point numbers."""


class Limit:
    """Says for each request whether it comes too soon. Knows no clock: the time is an argument."""

    def __init__(self, period: float) -> None:
        self.period = period
        self._admitted: dict[str, float] = {}

    def wait(self, key: str, now: float) -> float:
        """Let the request in and return 0, or return the seconds by which it came too soon.

        Refused requests do not count: the period starts with a request that was let in.
        """
        last = self._admitted.get(key)
        if last is not None and now - last < self.period - SLACK:
            return last + self.period - now
        self._admitted[key] = now
        return 0.0

    def forget(self, key: str, at: float) -> None:
        """Take back that a request was let in at `at`: the next may come at once, as if it had been refused."""
        if self._admitted.get(key) == at:
            del self._admitted[key]
