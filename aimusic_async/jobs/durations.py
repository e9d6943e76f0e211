"""How long tasks take: the chance that one has finished since it was last looked at. Pure, no clock of its own."""

from __future__ import annotations

import math

import attrs

_SPREAD = 0.5
"""Sigma of the logarithm: one task in six takes less than 0.6 of the usual time, one in six more than 1.65 of it."""


@attrs.frozen
class Duration:
    """A log-normal guess at a task's duration: half are done after `median` seconds."""

    median: float
    sigma: float = _SPREAD

    def running(self, age: float) -> float:
        """Return the chance that a task still runs at `age` seconds."""
        if age <= 0 or self.median <= 0:
            return 1.0 if age <= 0 else 0.0
        return 0.5 * math.erfc((math.log(age) - math.log(self.median)) / (self.sigma * math.sqrt(2)))

    def finished(self, *, since: float, age: float) -> float:
        """Return the chance that a task that ran at the age of `since` is done at `age` (both in seconds)."""
        before = self.running(since)
        if before < 1e-9:  # far later than any such task was expected: all that is left to say is "any moment"
            return 1.0
        return 1.0 - self.running(age) / before
