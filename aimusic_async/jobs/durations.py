"""How long tasks take: the chance that one has finished since it was last looked at. Pure, no clock of its own."""

from __future__ import annotations

import math

import attrs

_SPREAD = 0.5
"""Sigma of the logarithm: one task in six takes less than 0.6 of the usual time, one in six more than 1.65 of it."""


_UNKNOWN = 30.0
"""Seconds: the median that is taken for a kind of task of which nothing is known."""


@attrs.frozen
class Duration:
    """A log-normal guess at a task's duration: half are done after `median` seconds."""

    median: float
    sigma: float = _SPREAD

    def running(self, age: float) -> float:
        """Return the chance that a task still runs at `age` seconds."""
        return 1.0 if age <= 0 else 0.5 * math.erfc(self._deviations(age) / math.sqrt(2))

    def finished(self, *, since: float, age: float) -> float:
        """Return the chance that a task that ran at the age of `since` is done at `age` (both in seconds).

        The longer a task has outlived its kind, the less likely it ends in the next few seconds.
        """
        if age <= since:
            return 0.0
        early, late = self._deviations(since), self._deviations(age)
        if early < _FAR:
            return 1.0 - self.running(age) / self.running(since)
        # So far out both chances are too small to divide; their quotient is known all the same.
        return 1.0 - math.exp((early * early - late * late) / 2) * early / late

    def _deviations(self, age: float) -> float:
        """How many sigmas an age lies beyond the median."""
        return (math.log(age) - math.log(self.median or _UNKNOWN)) / self.sigma if age > 0 else -math.inf


_FAR = 5.0
