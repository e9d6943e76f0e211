"""What the next token is worth most for: a direct call, a submit, or a poll. Pure: no I/O, `now` is an argument.

Every candidate has a worth, and the greatest gets the token:

- a direct call, for which somebody waits: `CALL`; batch work that got no token for long gains on it;
- a poll: the chance that the task has finished since it was last looked at;
- a submit: `SUBMIT`, so it goes before a poll that is unlikely to hit, and after one that is likely to.

With nothing to submit, tokens are free, and the likeliest poll goes as soon as its interval lets it.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Hashable
from enum import Enum
from typing import Generic, TypeVar

import attrs

from .durations import Duration

J = TypeVar("J", bound=Hashable)

CALL = 2.0
SUBMIT = 0.6
PATIENCE = 20.0
"""Seconds without a token after which batch work is worth as much more as a sure poll."""


class Kind(Enum):
    """What a token can be spent on."""

    CALL = "call"
    SUBMIT = "submit"
    POLL = "poll"


@attrs.frozen
class Choice(Generic[J]):
    """What to do with a token."""

    kind: Kind
    job: J


@attrs.frozen
class _Waiting:
    """What waits for a token, and since when."""

    kind: Kind
    since: float


@attrs.define
class _Watched:
    """A task that runs, and when it may be looked at again."""

    accepted: float
    interval: float
    duration: Duration
    seen: float
    """When it was last known to run."""
    not_before: float

    def worth(self, now: float) -> float:
        return self.duration.finished(since=self.seen - self.accepted, age=now - self.accepted)


class Schedule(Generic[J]):
    """Keeps what waits for a token. Times are seconds on one clock, which the caller reads."""

    def __init__(self) -> None:
        self._lines: dict[Kind, deque[J]] = {Kind.CALL: deque(), Kind.SUBMIT: deque()}
        self._waiting: dict[J, _Waiting] = {}
        self._later: list[tuple[float, int, J, Kind]] = []
        self._count = itertools.count()
        self._watched: dict[J, _Watched] = {}
        self._batch_served = float("-inf")

    def add(self, job: J, kind: Kind, *, now: float) -> None:
        """Queue a direct call or a submit, behind those that are there."""
        self._waiting[job] = _Waiting(kind, since=now)
        self._lines[kind].append(job)

    def again(self, job: J, kind: Kind, *, not_before: float) -> None:
        """Queue a refused or unsent request once more: before all others of its kind, from `not_before` on."""
        self._waiting[job] = _Waiting(kind, since=not_before)
        heapq.heappush(self._later, (not_before, next(self._count), job, kind))

    def watch(self, job: J, *, accepted: float, interval: float, duration: Duration) -> None:
        """Poll a task from now on: first after `interval` seconds, and never sooner than that after a look."""
        self._watched[job] = _Watched(accepted, interval, duration, seen=accepted, not_before=accepted + interval)

    def look_now(self, job: J) -> None:
        """Let the next look at a watched task come at once: its age is not known (it was attached)."""
        self._watched[job].not_before = self._watched[job].accepted

    def looked(self, job: J, now: float) -> None:
        """Say that a look found the task running; the next one is due after its interval."""
        if entry := self._watched.get(job):
            entry.seen = now
            entry.not_before = now + entry.interval

    def not_looked(self, job: J, *, not_before: float) -> None:
        """Say that a look failed and told nothing; the next one is due from `not_before` on."""
        if entry := self._watched.get(job):
            entry.not_before = not_before

    def age(self, job: J, now: float) -> float:
        """Return for how many seconds a watched task has been running."""
        return now - self._watched[job].accepted

    def drop(self, job: J) -> None:
        """Forget a job wherever it stands."""
        self._waiting.pop(job, None)  # its place in a line is skipped when it comes up
        self._watched.pop(job, None)

    def take(self, now: float) -> Choice[J] | None:
        """Return what is worth most at `now`, and take it out; None when nothing is due.

        A polled job stays watched, but is not due again before `looked` is called.
        """
        self._bring_forward(now)
        call, submit = self._first(Kind.CALL), self._first(Kind.SUBMIT)
        poll, likelihood = self._likeliest(now)
        if call is None and submit is None and poll is None:
            return None
        if submit is not None and (poll is None or likelihood < SUBMIT):
            batch, since = SUBMIT, self._waiting[submit].since
        elif poll is not None:
            batch, since = likelihood, self._watched[poll].not_before
        else:
            batch, since = float("-inf"), now
        waited = now - max(since, self._batch_served)
        if call is not None and batch + waited / PATIENCE < CALL:
            return self._pop(Kind.CALL, call)
        self._batch_served = now
        if submit is not None and batch == SUBMIT:
            return self._pop(Kind.SUBMIT, submit)
        assert poll is not None
        self._watched[poll].not_before = float("inf")
        return Choice(Kind.POLL, poll)

    def due_at(self, now: float) -> float | None:
        """Return from when on `take` will find something, None when it will not until something is added."""
        self._bring_forward(now)
        if any(self._first(kind) is not None for kind in self._lines):
            return now
        times = [entry.not_before for entry in self._watched.values()]
        times += [moment for moment, *_ in self._later[:1]]
        soonest = min(times, default=float("inf"))
        return None if soonest == float("inf") else max(soonest, now)

    def _bring_forward(self, now: float) -> None:
        ripe = []
        while self._later and self._later[0][0] <= now:
            ripe.append(heapq.heappop(self._later))
        for _, _, job, kind in reversed(ripe):  # so that the first of them ends up first
            if self._waits(job, kind):
                self._lines[kind].appendleft(job)
        while self._later and self._later[0][2] not in self._waiting:
            heapq.heappop(self._later)

    def _first(self, kind: Kind) -> J | None:
        line = self._lines[kind]
        while line and not self._waits(line[0], kind):
            line.popleft()
        return line[0] if line else None

    def _waits(self, job: J, kind: Kind) -> bool:
        waiting = self._waiting.get(job)
        return waiting is not None and waiting.kind is kind

    def _pop(self, kind: Kind, job: J) -> Choice[J]:
        self._lines[kind].popleft()
        del self._waiting[job]
        return Choice(kind, job)

    def _likeliest(self, now: float) -> tuple[J | None, float]:
        best: J | None = None
        worth = -1.0
        for job, entry in self._watched.items():
            if entry.not_before > now:
                continue
            chance = entry.worth(now)
            if best is None or (chance, -entry.seen) > (worth, -self._watched[best].seen):
                best, worth = job, chance
        return best, worth
