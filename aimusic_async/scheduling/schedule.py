"""What the next token is worth most for: a direct call, a submit, or a poll. Pure: no I/O, `now` is an argument.

Every candidate has a worth, and the greatest gets the token:

- a submit is worth 1;
- a poll is worth the chance that it hits, divided by the chance that is `SURE` enough: a poll that misses delays
  everybody behind it, one that waits delays only its own song. So with a backlog, polls wait until they are nearly sure
  to hit;
- a poll of a task whose time is nearly over is worth `URGENT`: otherwise it might end unseen;
- a direct call, for which somebody waits, is worth `CALL`; batch work that got no token for long gains on it.

With nothing to submit, tokens are free, and the likeliest poll goes as soon as its interval lets it.
Every step costs O(log n) in the number of jobs; nothing ticks.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Hashable
from enum import StrEnum
from typing import Generic, TypeVar

import attrs

from .durations import Durations, TaskKind

J = TypeVar("J", bound=Hashable)

CALL = 2.0
SURE = 0.94
"""Chance from which a poll goes before a submit."""
CURIOUS = 0.8
"""The same, as long as no task of its kind was seen to finish: the first one is polled early, since it teaches most."""
URGENT = 1.5
LAST_POLL = 10.0
"""Seconds before a task's deadline from which a last poll is urgent."""
PATIENCE = 20.0
"""Seconds without a token after which batch work is worth as much more as a submit."""
_JUST = 5.0
"""Seconds: how long ago a task that is reported as "just finished" may have finished."""
_REFUSED = float("-inf")
"""Rank of a request that was refused: before all others."""
_NEVER = float("inf")


class Kind(StrEnum):
    """What a token can be spent on."""

    CALL = "call"
    SUBMIT = "submit"
    POLL = "poll"


EVERYTHING = frozenset(Kind)


@attrs.frozen
class Choice(Generic[J]):
    """What to do with a token."""

    kind: Kind
    job: J


@attrs.define
class _Waiting:
    """What waits for a token: a call or a submit."""

    kind: Kind
    since: float
    place: int
    """Number of its entry in a queue; entries with other numbers are out of date."""


@attrs.define
class _Watched:
    """A task that runs."""

    kind: TaskKind
    accepted: float
    interval: float
    age_known: bool
    learn: bool
    """Whether its age is exact, so that durations are learned from it."""
    seen: float
    """When it was last known to run."""
    due: float
    """From when on it may be polled."""
    deadline: float = _NEVER
    place: int = 0


@attrs.define
class _Due(Generic[J]):
    """Tasks of one kind that may be polled, the likeliest of each heap on top."""

    fresh: list[tuple[float, int, J]] = attrs.field(factory=list)
    """Not polled yet: the oldest is the likeliest."""
    polled: list[tuple[float, int, J]] = attrs.field(factory=list)
    """Polled before: by when they are as likely done as not."""


class Schedule(Generic[J]):
    """Holds what waits for a token. Times are seconds on one clock, which the caller reads."""

    def __init__(self, durations: Durations | None = None) -> None:
        self.durations: Durations = durations or Durations()
        self._places = itertools.count()
        self._lines: dict[Kind, list[tuple[float, int, J]]] = {Kind.CALL: [], Kind.SUBMIT: []}
        self._waiting: dict[J, _Waiting] = {}
        self._later: list[tuple[float, int, J]] = []
        self._watched: dict[J, _Watched] = {}
        self._resting: list[tuple[float, int, J]] = []
        self._due: dict[TaskKind, _Due[J]] = {}
        self._deadlines: list[tuple[float, int, J]] = []
        self._batch_served = -_NEVER
        self.holds: set[str] = set()
        """While it holds a reason, no submit is due: too few credits, say, or a journal that does not answer."""

    @property
    def watching(self) -> int:
        """How many tasks are being watched."""
        return len(self._watched)

    @property
    def waiting(self) -> int:
        """How many calls and submits wait for a token."""
        return len(self._waiting)

    # --- calls and submits -----------------------------------------------------------------------------------------

    def add(self, job: J, kind: Kind, *, now: float, priority: int = 0) -> None:
        """Queue a direct call or a submit: before those of a lower `priority`, behind the others."""
        self._waiting[job] = _Waiting(kind, since=now, place=next(self._places))
        heapq.heappush(self._lines[kind], (-priority, self._waiting[job].place, job))

    def again(self, job: J, kind: Kind, *, not_before: float) -> None:
        """Queue a refused or unsent request once more: before all others of its kind, from `not_before` on."""
        self._waiting[job] = _Waiting(kind, since=not_before, place=next(self._places))
        heapq.heappush(self._later, (not_before, self._waiting[job].place, job))

    # --- tasks that run --------------------------------------------------------------------------------------------

    def watch(
        self,
        job: J,
        kind: TaskKind,
        *,
        now: float,
        interval: float,
        first: float | None = None,
        timeout: float | None = None,
        learn: bool = True,
    ) -> None:
        """Poll a task that was accepted `now`: after `first` seconds (default: `interval`), then each `interval`.

        `timeout`: seconds from now after which its owner gives it up; it is polled once more shortly before. `learn`:
        whether `now` is exact.
        """
        due = now + (interval if first is None else first)
        task = _Watched(kind, now, interval, age_known=True, learn=learn, seen=now, due=due)
        if timeout is not None:
            task.deadline = now + timeout
            heapq.heappush(self._deadlines, (task.deadline - LAST_POLL, next(self._places), job))
        self._rest(job, task)

    def attach(self, job: J, kind: TaskKind, *, now: float, interval: float) -> None:
        """Poll a task of which nobody knows how long it has been running; the first poll is due at once."""
        self._rest(job, _Watched(kind, now, interval, age_known=False, learn=False, seen=now, due=now))

    def polled(self, job: J, now: float) -> None:
        """Note that a poll found the task running; the next one is due after its interval."""
        if entry := self._watched.get(job):
            self._learn(entry, now, finished=False)
            entry.seen, entry.due = now, now + entry.interval
            self._rest(job, entry)

    def not_polled(self, job: J, *, not_before: float) -> None:
        """Note that a poll failed and showed nothing; the next one is due from `not_before` on."""
        if entry := self._watched.get(job):
            entry.due = not_before
            self._rest(job, entry)

    def finished(self, job: J, now: float, *, just_now: bool = False) -> None:
        """Note that a task has finished since the last poll, or `just_now`, and forget it."""
        if entry := self._watched.pop(job, None):
            if just_now and (before := now - _JUST) > entry.seen:
                self._learn(entry, before, finished=False)
                entry.seen = before
            self._learn(entry, now, finished=True)
        self._tidy()

    def age(self, job: J, now: float) -> float:
        """Return for how many seconds a task has been watched."""
        return now - self._watched[job].accepted

    def drop(self, job: J) -> None:
        """Forget a job wherever it stands; its places in the queues are skipped when they come up."""
        self._waiting.pop(job, None)
        self._watched.pop(job, None)
        self._tidy()

    def _tidy(self) -> None:
        """Forget the tasks that have ended long before their deadlines."""
        if len(self._deadlines) > 2 * len(self._watched) + 100:
            self._deadlines = [entry for entry in self._deadlines if entry[2] in self._watched]
            heapq.heapify(self._deadlines)

    def is_queued(self, job: J) -> bool:
        """Whether a job waits for a token to be sent with."""
        return job in self._waiting

    def __bool__(self) -> bool:
        """Whether any job waits or runs."""
        return bool(self._waiting or self._watched)

    # --- what next -------------------------------------------------------------------------------------------------

    def take(self, now: float, kinds: frozenset[Kind] = EVERYTHING) -> Choice[J] | None:
        """Return what is worth most at `now` of these `kinds`, and take it out; None when nothing is due.

        A polled job stays watched, but is not due again before `polled`, `not_polled` or `finished` is called.
        """
        self._bring_forward(now)
        call = self._first(Kind.CALL) if Kind.CALL in kinds else None
        submit = self._first(Kind.SUBMIT) if Kind.SUBMIT in kinds else None
        poll, worth = self._best_poll(now) if Kind.POLL in kinds else (None, 0.0)
        if submit is not None and worth < 1.0:
            batch, worth, since = Choice(Kind.SUBMIT, submit), 1.0, self._waiting[submit].since
        elif poll is not None:
            batch, since = Choice(Kind.POLL, poll), self._watched[poll].due
        elif call is None:
            return None
        else:
            return self._taken(Choice(Kind.CALL, call))
        waited = now - max(since, self._batch_served)
        if call is not None and worth + waited / PATIENCE < CALL:
            return self._taken(Choice(Kind.CALL, call))
        self._batch_served = now
        return self._taken(batch)

    def due_at(self, now: float, kinds: frozenset[Kind] = EVERYTHING) -> float | None:
        """Return from when on `take` will find something, None when it will not until something is added."""
        self._bring_forward(now)
        for kind in self._lines:
            if kind in kinds and self._first(kind) is not None:
                return now
        times = [moment for moment, *_ in self._later[:1] if kinds - {Kind.POLL}]
        if Kind.POLL in kinds:
            for due in self._due.values():
                if self._top(due.fresh) is not None or self._top(due.polled) is not None:
                    return now
            times += [moment for moment, *_ in self._resting[:1]]
        return max(min(times), now) if times else None

    # --- inside ------------------------------------------------------------------------------------------------------

    def _taken(self, choice: Choice[J]) -> Choice[J]:
        if choice.kind is Kind.POLL:
            task = self._watched[choice.job]
            task.place, task.due = next(self._places), _NEVER
        else:
            del self._waiting[choice.job]
        return choice

    def _learn(self, entry: _Watched, now: float, *, finished: bool) -> None:
        if entry.learn:
            since, age = entry.seen - entry.accepted, now - entry.accepted
            self.durations.observe(entry.kind, since=since, age=age, finished=finished)

    def _rest(self, job: J, entry: _Watched) -> None:
        entry.place = next(self._places)
        self._watched[job] = entry
        heapq.heappush(self._resting, (entry.due, entry.place, job))

    def _bring_forward(self, now: float) -> None:
        """Move what is due by now to where it can be taken, and clear away what is out of date."""
        while self._later and (self._later[0][0] <= now or not self._waits(self._later[0])):
            entry = heapq.heappop(self._later)
            if self._waits(entry):
                _, place, job = entry
                heapq.heappush(self._lines[self._waiting[job].kind], (_REFUSED, place, job))
        while self._resting and (self._resting[0][0] <= now or not self._is_watched(self._resting[0])):
            entry = heapq.heappop(self._resting)
            if self._is_watched(entry):
                self._make_due(entry[2])

    def _make_due(self, job: J) -> None:
        task = self._watched[job]
        due = self._due.setdefault(task.kind, _Due())
        if task.seen == task.accepted:
            heapq.heappush(due.fresh, (task.accepted, task.place, job))
        else:
            age = self.durations.of(task.kind).age_at(0.5, since=task.seen - task.accepted)
            heapq.heappush(due.polled, (task.accepted + age, task.place, job))

    def _best_poll(self, now: float) -> tuple[J | None, float]:
        best = self._about_to_end(now)
        most = -1.0 if best is None else URGENT
        for kind, due in self._due.items():
            enough = SURE if self.durations.seen_any(kind) else CURIOUS
            for job in (self._top(due.fresh), self._top(due.polled)):
                if job is not None and (worth := self._chance(self._watched[job], now) / enough) > most:
                    best, most = job, worth
        return best, most

    def _about_to_end(self, now: float) -> J | None:
        """Return a task that may be polled, and is given up soon."""
        while self._deadlines and self._deadlines[0][0] <= now:
            _, _, job = self._deadlines[0]
            task = self._watched.get(job)
            if task is not None and task.due <= now:
                return job
            heapq.heappop(self._deadlines)  # ended, or polled just now
        return None

    def _chance(self, task: _Watched, now: float) -> float:
        since, age = task.seen - task.accepted, now - task.accepted
        return self.durations.of(task.kind).finished(since=since, age=age) if task.age_known else 1.0

    def _top(self, heap: list[tuple[float, int, J]]) -> J | None:
        while heap and not self._is_watched(heap[0]):
            heapq.heappop(heap)
        return heap[0][2] if heap else None

    def _first(self, kind: Kind) -> J | None:
        if kind is Kind.SUBMIT and self.holds:
            return None
        line = self._lines[kind]
        while line and not self._waits(line[0]):
            heapq.heappop(line)
        return line[0][2] if line else None

    def _waits(self, entry: tuple[float, int, J]) -> bool:
        waiting = self._waiting.get(entry[2])
        return waiting is not None and waiting.place == entry[1]

    def _is_watched(self, entry: tuple[float, int, J]) -> bool:
        task = self._watched.get(entry[2])
        return task is not None and task.place == entry[1]
