"""What waits for a token to be sent with: direct calls and submits, in the order in which they go. Pure."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator
from enum import StrEnum
from typing import Generic, TypeVar

import attrs

from .durations import Durations, TaskKind
from .heap import Heap

J = TypeVar("J", bound=Hashable)

HOPELESS = 0.5
"""Chance to be done in time below which a submit goes behind all others, whatever its priority, and behind any poll."""
_REFUSED = -math.inf
"""Rank of a request that was refused: before all others."""


class Kind(StrEnum):
    """What a token can be spent on."""

    CALL = "call"
    SUBMIT = "submit"
    POLL = "poll"


@attrs.frozen
class Terms:
    """What else counts when it is decided what goes next."""

    platform: str = ""
    """The part of the service that takes it: a refusal may concern that alone."""
    task: TaskKind = TaskKind("", 0.0)
    """Which kind of task it makes."""
    deadline: float = math.inf
    """When nobody waits for it any more."""


USUAL = Terms()
_Line = tuple[Kind, str, bool]


@attrs.define(weakref_slot=False)
class _Waiting(Generic[J]):
    """A call or a submit."""

    kind: Kind
    terms: Terms
    since: float
    place: int
    heap: Heap[J]
    """Where it stands."""


class Waiting(Generic[J]):
    """The calls and submits; a line for each kind and platform, and another for what has a deadline."""

    def __init__(self, durations: Durations, places: Iterator[int]) -> None:
        self._durations = durations
        self._places = places
        self._jobs: dict[J, _Waiting[J]] = {}
        self._lines: dict[_Line, Heap[J]] = {}
        self._later = Heap[J]()
        self._paused: dict[str, float] = {}

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._jobs)

    def __contains__(self, job: J) -> bool:
        """Return whether a job waits."""
        return job in self._jobs

    def add(self, job: J, kind: Kind, terms: Terms, *, now: float, priority: int) -> None:
        """Queue it before those of a lower `priority`, behind the others."""
        self.drop(job)
        self._push(job, _Waiting(kind, terms, now, next(self._places), self._line(kind, terms)), -priority)

    def again(self, job: J, kind: Kind, terms: Terms, *, not_before: float) -> None:
        """Queue it before all others of its kind, from `not_before` on."""
        self.drop(job)
        self._push(job, _Waiting(kind, terms, not_before, next(self._places), self._later), not_before)

    def drop(self, job: J) -> None:
        """Forget it."""
        if (entry := self._jobs.pop(job, None)) is not None:
            entry.heap.discard(entry.place)

    def pause(self, platform: str, until: float) -> None:
        """Let nothing of a platform go before `until`."""
        self._paused[platform] = max(until, self.paused_until(platform))

    def paused_until(self, platform: str) -> float:
        """Return until when nothing of a platform goes."""
        return self._paused.get(platform, -math.inf)

    def bring_forward(self, now: float) -> None:
        """Move what was put off until now to where it can be taken."""
        while (job := self._later.pop(now)) is not None:
            entry = self._jobs[job]
            entry.heap = self._line(entry.kind, entry.terms)
            entry.heap.push(_REFUSED, entry.place, job)

    def first(self, kind: Kind, now: float) -> J | None:
        """Return which one of a kind goes next."""
        best, order = None, (True, math.inf, 0)
        for (its, platform, _), line in self._lines.items():
            if its is kind and self.paused_until(platform) <= now and (first := line.first()) is not None:
                job = line.at(first[1])
                if best is None or (not self.worth(job, now), *first) < order:
                    best, order = job, (not self.worth(job, now), *first)
        return best

    def worth(self, job: J, now: float) -> float:
        """Return the chance that what a submit makes is done while somebody waits for it; 0 when that is `HOPELESS`."""
        terms = self._jobs[job].terms
        if terms.deadline == math.inf:
            return 1.0
        chance = self._durations.of(terms.task).finished(since=0.0, age=terms.deadline - now)
        return chance if chance >= HOPELESS else 0.0

    def since(self, job: J) -> float:
        """Return since when it waits."""
        return self._jobs[job].since

    def due_at(self, kind: Kind, now: float) -> float:
        """Return from when on one of a kind can go, infinity when none waits."""
        times = [
            self.paused_until(platform) for (its, platform, _), line in self._lines.items() if its is kind and line
        ]
        return max(min(times), now) if times else math.inf

    def later_at(self) -> float:
        """Return when the first of those that were put off is due."""
        first = self._later.first()
        return math.inf if first is None else first[0]

    def _push(self, job: J, entry: _Waiting[J], rank: float) -> None:
        self._jobs[job] = entry
        entry.heap.push(rank, entry.place, job)

    def _line(self, kind: Kind, terms: Terms) -> Heap[J]:
        return self._lines.setdefault((kind, terms.platform, terms.deadline < math.inf), Heap())
