"""How long tasks take: an estimate for each kind of task, sharpened by every poll of one. Pure, no clock of its own.

A poll shows only an interval: the task still ran, or it finished some time since the poll before. So `Durations` never
sees a duration. It weighs a grid of log-normal distributions by how well each predicted the polls, and uses their mean.
Each of them allows for a few odd tasks that take very long, or for ever: however often one such task is polled, it
weighs about as much as any other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from statistics import NormalDist
from typing import Any

import attrs

_STANDARD = NormalDist()
_ROOT = math.sqrt(2)
_FAR = 5.0
"""Sigmas beyond the median from which chances are too small to divide."""

_FAR_UNKNOWN = 4.0
"""The same, for a task of unknown age."""

_UNKNOWN = 30.0
"""Seconds: the median assumed for a kind of task of which nothing is known."""

_STEPS, _STEP = 13, 0.15
_FORMER_STEPS = 9
_MEDIANS = tuple(step * _STEP for step in range(-_STEPS, _STEPS + 1))
"""Logarithms of the medians of the grid, relative to the prior's: a seventh of it to seven times as much."""
_SIGMAS = (0.2, 0.3, 0.4, 0.5, 0.7)
_SPREAD, _FAR_SPREAD, _FAR_OFF = 0.3, 0.9, 0.15
"""How far the prior's median may be off: sigma of its logarithm; `_FAR_OFF` of the guesses are off by `_FAR_SPREAD`."""
_SIGMA, _SIGMA_SPREAD = 0.4, 0.25
"""How much tasks of one kind differ: the prior's guess, and sigma of its logarithm."""
_ODD = 0.02
"""Share of the tasks that fit no log-normal distribution, since they hang."""
_USUAL = (1.0 - _ODD) / 2  # of what `erfc` returns: twice a chance
_ODD_MEDIAN = 10.0
"""The median of these, in medians of the prior; a third still runs at twice as much, a tenth at nine times."""
_MEMORY = 0.985
"""Share of the evidence that remains in force after each finished task: some seventy tasks are remembered."""
_HARDLY = 0.99
"""Share of the tasks that are done at an age that hardly any reaches."""
_ENOUGH = 20
"""Finished tasks after which what is known counts alone."""
_SOME = 3
"""The same, from which it is believed."""
_LEAST = 1e-9
"""The least likelihood of a poll: one odd task must not outweigh all others."""


@attrs.frozen
class Duration:
    """A log-normal guess at a task's duration: half are done after `median` seconds."""

    median: float
    sigma: float = _SIGMA

    def running(self, age: float) -> float:
        """Return the chance that a task still runs at `age` seconds."""
        return 1.0 if age <= 0 else 0.5 * math.erfc(self._deviations(age) / _ROOT)

    def finished(self, *, since: float, age: float) -> float:
        """Return the chance that a task that ran at the age of `since` is done at `age` (both in seconds).

        The longer a task has outlived its kind, the less likely it ends in the next few seconds.
        """
        if age <= since:
            return 0.0
        return _done_between(self._deviations(since), self._deviations(age))

    def finished_unless_new(self, *, ran: float | None, watched: float) -> float:
        """Return the chance that a task of unknown age is done `watched` seconds after it was attached.

        `ran`: how many seconds after that a poll found it running. It may have been accepted at any moment before, so
        its age has the density with which tasks still run at it. As long as it was never polled (None) it may as well
        have finished long ago.
        """
        if ran is None:
            return 1.0 - self._time_left(watched) / self._time_left(0.0) / 2
        if self._deviations(ran) > _FAR_UNKNOWN:  # there the differences are too small, and its age hardly matters
            return self.finished(since=ran, age=watched)
        return max(1.0 - self._time_left(watched) / self._time_left(ran), 0.0)

    def _time_left(self, age: float) -> float:
        """Return the seconds that a new task is expected to run beyond an age."""
        deviations = self._deviations(age)
        mean = self.median * math.exp(self.sigma**2 / 2)
        beyond = math.erfc(deviations / _ROOT) / 2
        return mean * math.erfc((deviations - self.sigma) / _ROOT) / 2 - (age * beyond if age > 0 else 0.0)

    def age_at(self, chance: float, *, since: float) -> float:
        """Return the age at which a task that ran at the age of `since` is done with this `chance`, below 1."""
        left = self.running(since) * (1.0 - chance)
        if left < 1e-6:
            return since * 1.5
        return self.median * math.exp(-self.sigma * _STANDARD.inv_cdf(left))

    def _deviations(self, age: float) -> float:
        """How many sigmas an age lies beyond the median."""
        return (math.log(age) - math.log(self.median)) / self.sigma if age > 0 else -math.inf


def _done_between(early: float, late: float) -> float:
    """Return the chance that what still ran at `early` is done at `late`, both in sigmas beyond the median."""
    if early < _FAR:
        return 1.0 - math.erfc(late / _ROOT) / math.erfc(early / _ROOT)
    return 1.0 - math.exp((early * early - late * late) / 2) * early / late


@attrs.frozen(cache_hash=True)
class TaskKind:
    """Tasks that take about the same time: an operation and a model."""

    name: str
    typical: float
    """Seconds that such a task usually takes, as far as the documentation says: the prior."""


class Durations:
    """What is known of each kind of task. `to_plain` and `from_plain` carry it from one process to the next."""

    def __init__(self) -> None:
        self._learned: dict[TaskKind, _Learned] = {}

    def of(self, kind: TaskKind) -> Duration:
        """Return the guess for a kind, as of now."""
        return self._about(kind).guess

    def overdue(self, kind: TaskKind) -> float:
        """Return the age in seconds that hardly any task of this kind reaches, by what is known and by the first guess.

        As long as few tasks have finished, what is known may come from the quick ones alone.
        """
        known = self.of(kind).age_at(_HARDLY, since=0.0)
        first_guess = Duration(kind.typical or _UNKNOWN).age_at(_HARDLY, since=0.0)
        return known if self._about(kind).finished >= _ENOUGH else max(known, first_guess)

    def seen_any(self, kind: TaskKind) -> bool:
        """Whether a task of this kind was ever seen to finish."""
        return self._about(kind).finished > 0

    def known(self, kind: TaskKind) -> bool:
        """Whether some tasks of this kind were seen to finish, so that the guess is more than a guess."""
        return self._about(kind).finished >= _SOME

    def observe(self, kind: TaskKind, *, since: float, age: float, finished: bool) -> None:
        """Learn from a poll of a task at the age of `age` that was last known to run at the age of `since`."""
        if age > since:
            self._about(kind).observe(since, age, finished=finished)

    def to_plain(self) -> list[dict[str, Any]]:
        """Return what was learned, as JSON can hold it."""
        return [
            {"kind": kind.name, "typical": kind.typical, "finished": about.finished, "weights": list(about.evidence)}
            for kind, about in self._learned.items()
        ]

    @classmethod
    def from_plain(cls, plain: list[Mapping[str, Any]]) -> Durations:
        """Restore what `to_plain` returned, or an earlier version did; entries that do not fit are omitted."""
        durations = cls()
        for entry in plain:
            try:
                kind = TaskKind(str(entry["kind"]), float(entry["typical"]))
                evidence, finished = _as_evidence(entry["weights"]), int(entry["finished"])
            except (KeyError, TypeError, ValueError, OverflowError):
                continue
            if evidence is not None and math.isfinite(kind.typical) and kind.typical >= 0 and finished >= 0:
                durations._learned[kind] = _Learned(kind, evidence=evidence, finished=finished)
        return durations

    def _about(self, kind: TaskKind) -> _Learned:
        if kind not in self._learned:
            self._learned[kind] = _Learned(kind)
        return self._learned[kind]


class _Learned:
    """The grid of one kind: candidates, the evidence for each (log-likelihood), and the guess that follows."""

    def __init__(self, kind: TaskKind, *, evidence: list[float] | None = None, finished: int = 0) -> None:
        typical = math.log(kind.typical or _UNKNOWN)
        self._odd_median = math.exp(typical) * _ODD_MEDIAN
        self._grid = [(typical + median, sigma) for median in _MEDIANS for sigma in _SIGMAS]
        self._prior = [_log_prior(median, sigma) for median in _MEDIANS for sigma in _SIGMAS]
        self.evidence = evidence or [0.0] * len(self._grid)
        self.finished = finished
        self.guess = self._mean()

    def observe(self, since: float, age: float, *, finished: bool) -> None:
        memory = _MEMORY if finished else 1.0  # the polls of one task belong together: they fade together
        late, early = math.log(age), math.log(since) if since > 0 else -math.inf
        odd_before, odd_now = (_ODD / (1 + at / self._odd_median) for at in (since, age))
        for index, (mu, sigma) in enumerate(self._grid):
            before = odd_before + _USUAL * math.erfc((early - mu) / sigma / _ROOT)
            after = odd_now + _USUAL * math.erfc((late - mu) / sigma / _ROOT)
            chance = (before - after if finished else after) / before
            self.evidence[index] = self.evidence[index] * memory + math.log(max(chance, _LEAST))
        self.finished += finished
        self.guess = self._mean()

    def _mean(self) -> Duration:
        logs = [prior + evidence for prior, evidence in zip(self._prior, self.evidence, strict=True)]
        most = max(logs)
        weights = [math.exp(log - most) for log in logs]
        total = sum(weights)
        mu = sum(weight * mu for weight, (mu, _) in zip(weights, self._grid, strict=True)) / total
        square = sum(weight * sigma**2 for weight, (_, sigma) in zip(weights, self._grid, strict=True)) / total
        return Duration(math.exp(mu), math.sqrt(square))


def _as_evidence(weights: Iterable[float]) -> list[float] | None:
    """Read what was stored; a grid that reached less far (version 0.1) is continued at both ends."""
    evidence = [float(weight) for weight in weights]
    missing = (len(_MEDIANS) * len(_SIGMAS) - len(evidence)) // 2
    if missing == (_STEPS - _FORMER_STEPS) * len(_SIGMAS):
        first, last = evidence[: len(_SIGMAS)], evidence[-len(_SIGMAS) :]
        ends = missing // len(_SIGMAS)
        evidence = first * ends + evidence + last * ends
    fits = len(evidence) == len(_MEDIANS) * len(_SIGMAS) and all(map(math.isfinite, evidence))
    return evidence if fits else None


def _log_prior(median: float, sigma: float) -> float:
    near, far = (math.exp(-0.5 * (median / spread) ** 2) / spread for spread in (_SPREAD, _FAR_SPREAD))
    about_median = math.log((1.0 - _FAR_OFF) * near + _FAR_OFF * far)
    return about_median - 0.5 * (math.log(sigma / _SIGMA) / _SIGMA_SPREAD) ** 2
