"""The tasks that run: when each may be polled, which poll is the likeliest to hit, and what it teaches. Pure.

A task rests until its interval is over, then it is due. Those that are due stand in one heap for each kind and stage,
the likeliest on top. Whoever waits for a task may have a deadline: shortly before it the task is polled once more,
whatever its interval. Many last polls at once need time, so those of one deadline become due the earlier.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterator
from enum import Enum
from typing import Generic, TypeVar

import attrs

from .durations import Durations, TaskKind
from .heap import Heap

J = TypeVar("J", bound=Hashable)

SURE = 0.94
"""Chance from which a poll goes before a submit."""
CURIOUS = 0.8
"""The same, as long as few tasks of its kind were seen to finish: the first are polled early, since they teach most."""
MANY = 20
"""Tasks of one kind that may be polled, of which none was seen to finish: it is worth a token to ask whether the guess
is far too long."""
ASK_AFTER = 120.0
"""Seconds after which the first of them is polled, whatever its chance; then each time its age has doubled."""
URGENT = 1.5
LAST_POLL = 10.0
"""Seconds before a task's deadline from which a last poll is urgent; less when it had less than four times as much."""
_HASTE = 4.0
_TOGETHER = 10.0
"""Deadlines within so many seconds are one."""
_WITHIN = 5.0
"""Seconds of the last ones before a deadline in which polls may be left: a few tasks need no time before those."""
_TOKENS = 1.2
"""Tokens for each of them: others get some, too."""
_PACE = 3.0
"""Seconds between two tokens, until it is known better."""
_JUST = 5.0
"""Seconds: how long ago a task that is reported as "just finished" may have finished."""
_ANOTHER = 1e12
"""What puts the rank of another last poll behind those of all tasks that had none."""
_AT_ONCE = 1000
"""How many tasks become due in one turn."""


class _Stage(Enum):
    FRESH = "not polled yet: the oldest is the likeliest"
    POLLED = "polled before, by when they are as likely done as not"
    UNKNOWN = "not polled yet, and nobody knows how old"
    UNKNOWN_POLLED = "polled before, and nobody knows how old: the one that was polled first is the likeliest"

    def __hash__(self) -> int:
        return id(self)


@attrs.define
class Task(Generic[J]):
    """A task that runs."""

    kind: TaskKind
    platform: str
    accepted: float
    """When the service accepted it, or it was attached, which is when its age began to be known."""
    interval: float
    age_known: bool
    learn: bool
    """Whether its age is exact, so that durations are learned from it."""
    due: float
    """From when on it may be polled."""
    deadline: float = math.inf
    last_from: float = math.inf
    """From when on a last poll is urgent."""
    seen: float = attrs.field(init=False)
    """When it was last known to run."""
    taken: float = -math.inf
    """When its latest poll began."""
    over_submit: bool = False
    """Whether that went before a submit."""
    urgent: bool = False
    pulled: bool = False
    """Whether its next poll was pulled forward already."""
    heap: Heap[J] | None = None
    """Where it stands; None while it is polled."""
    place: int = -1
    last_place: int = -1
    opening: int | None = None
    """Which of the openings lets it be polled before its deadline."""

    def __attrs_post_init__(self) -> None:
        self.seen = self.accepted

    @property
    def stage(self) -> _Stage:
        """Where it stands among those that are due."""
        if self.age_known:
            return _Stage.FRESH if self.seen == self.accepted else _Stage.POLLED
        return _Stage.UNKNOWN if self.seen == self.accepted else _Stage.UNKNOWN_POLLED


@attrs.define
class _Opening(Generic[J]):
    """Tasks with one deadline that would not be polled any more before their last polls."""

    jobs: dict[J, None] = attrs.field(factory=dict)
    begun: bool = False
    """Whether there is just time enough to poll each of them."""


_Due = tuple[str, TaskKind, _Stage, bool]
"""Platform, kind, stage, and whether their deadlines are near."""


class Watching(Generic[J]):
    """The tasks that run."""

    def __init__(self, durations: Durations, places: Iterator[int]) -> None:
        self._durations = durations
        self._places = places
        self.pace: float = _PACE
        """Seconds between two tokens, as far as anybody knows."""
        self._tasks: dict[J, Task[J]] = {}
        self._resting = Heap[J]()
        self._due: dict[_Due, Heap[J]] = {}
        self._paused: dict[str, float] = {}
        self._ask_at: dict[TaskKind, float] = {}
        """The age at which a task is polled whatever its chance, as long as none of its kind was seen to finish."""
        self._last = Heap[J]()
        self._later: dict[int, _Opening[J]] = {}
        self._openings = Heap[int]()

    def __len__(self) -> int:
        """Return how many are watched."""
        return len(self._tasks)

    def __contains__(self, job: J) -> bool:
        """Return whether a task is watched."""
        return job in self._tasks

    # --- what happens to a task ------------------------------------------------------------------------------------

    def add(self, job: J, task: Task[J], *, timeout: float | None, now: float) -> None:
        """Watch a task, which is given up `timeout` seconds from now."""
        self.drop(job)
        self._tasks[job] = task
        if timeout is not None:
            task.deadline = now + timeout
            task.last_from = task.deadline - min(LAST_POLL, timeout / _HASTE)
            task.last_place = next(self._places)
            self._last.push(task.last_from, task.last_place, job)
        self._rest(job, task)

    def polled(self, job: J, now: float) -> bool:
        """Note that a poll found the task running; return whether it went before a submit."""
        if (task := self._tasks.get(job)) is None:
            return False
        self._learn(task, now, finished=False)
        task.seen, task.due, task.urgent = now, now + task.interval, False
        if now >= task.last_from:
            self._last.discard(task.last_place)
            task.last_place = -1
        return self._rest(job, task)

    def not_polled(self, job: J, not_before: float) -> bool:
        """Note that a poll failed and showed nothing; return whether it went before a submit."""
        if (task := self._tasks.get(job)) is None:
            return False
        task.due = not_before
        if (task.urgent or task.taken >= task.last_from) and task.taken < task.deadline:
            task.urgent = True
            task.due = min(not_before, (max(task.taken, task.last_from) + task.deadline) / 2)
        return self._rest(job, task)

    def finished(self, job: J, now: float, *, just_now: bool) -> None:
        """Note that a task has finished since the last poll, or `just_now`, and forget it."""
        if (task := self._tasks.get(job)) is None:
            return
        if just_now and (before := now - _JUST) > task.seen:
            self._learn(task, before, finished=False)
            task.seen = before
        self._learn(task, now, finished=True)
        self.drop(job)

    def drop(self, job: J) -> None:
        """Forget a task."""
        if (task := self._tasks.pop(job, None)) is not None:
            self._leave(job, task)
            self._last.discard(task.last_place)

    def take(self, job: J, now: float, *, over_submit: bool) -> None:
        """Note that it is being polled."""
        task = self._tasks[job]
        self._leave(job, task)
        task.taken, task.over_submit, task.urgent = now, over_submit, False
        if task.learn:
            self._ask_at[task.kind] = max(self._ask_at.get(task.kind, ASK_AFTER), 2 * (now - task.accepted))

    def pause(self, platform: str, until: float) -> None:
        """Poll no task of a platform before `until`, unless its deadline is near."""
        self._paused[platform] = max(until, self._paused.get(platform, until))

    def due_since(self, job: J) -> float:
        """Return since when it may be polled."""
        return self._tasks[job].due

    # --- what next -------------------------------------------------------------------------------------------------

    def bring_forward(self, now: float) -> None:
        """Move what is due by now to where it can be taken."""
        for _ in range(_AT_ONCE):
            if (job := self._resting.pop(now)) is None:
                break
            self._make_due(job)
        for _ in range(_AT_ONCE):
            if (job := self._last.pop(now)) is None:
                break
            self._tasks[job].last_place = -1
            self._hurry(job, now, urgent=True)
        while (opening := self._openings.pop(now)) is not None:
            if not self._open(opening, now):
                break

    def best(self, now: float) -> tuple[J | None, float]:
        """Return the poll that is worth most, and its worth."""
        best, most = None, (False, False, -1.0)
        for (platform, kind, _, urgent), heap in self._due.items():
            if (first := heap.first()) is None or (not urgent and self._paused.get(platform, now) > now):
                continue
            job = heap.at(first[1])
            its = (urgent, first[0] < _ANOTHER / 2, self._worth(job, kind, len(heap), now))
            if its > most:
                best, most = job, its
        return best, URGENT if most[0] else most[2]

    def _worth(self, job: J, kind: TaskKind, due: int, now: float) -> float:
        """Return what polling a task is worth; so many of its kind and stage are due."""
        task = self._tasks[job]
        teaches = task.learn and not self._durations.known(kind)
        worth = self._chance(task, now) / (CURIOUS if teaches else SURE)
        unseen = teaches and due >= MANY and not self._durations.seen_any(kind)
        ask = unseen and now - task.accepted >= self._ask_at.get(kind, ASK_AFTER)
        return max(worth, 1.0) if ask else worth

    def due_at(self, now: float) -> float:
        """Return from when on one can be polled, infinity when none can."""
        times = [
            now if urgent else self._paused.get(platform, now)
            for (platform, _, _, urgent), heap in self._due.items()
            if heap
        ]
        firsts = (self._resting.first(), self._last.first(), self._openings.first())
        times += [first[0] for first in firsts if first is not None]
        return max(min(times), now) if times else math.inf

    # --- inside ----------------------------------------------------------------------------------------------------

    def _learn(self, task: Task[J], now: float, *, finished: bool) -> None:
        if task.learn:
            since, age = task.seen - task.accepted, now - task.accepted
            self._durations.observe(task.kind, since=since, age=age, finished=finished)

    def _chance(self, task: Task[J], now: float) -> float:
        guess, since, age = self._durations.of(task.kind), task.seen - task.accepted, now - task.accepted
        if task.age_known:
            return guess.finished(since=since, age=age)
        return guess.finished_unless_new(ran=since if since > 0 else None, watched=age)

    def _rest(self, job: J, task: Task[J]) -> bool:
        """Let a task rest until it is due; return whether its poll went before a submit."""
        self._leave(job, task)
        self._enter(job, task, self._resting, task.due)
        if task.last_place >= 0 and task.due > task.last_from and not task.pulled:
            task.opening = number = int(task.last_from // _TOGETHER)
            self._later.setdefault(number, _Opening()).jobs[job] = None
            self._openings.discard(number)
            self._openings.push(self._opens_at(number), number, number)
        over_submit, task.over_submit = task.over_submit, False
        return over_submit

    def _leave(self, job: J, task: Task[J]) -> None:
        """Take it out of where it stands."""
        if task.heap is not None:
            task.heap.discard(task.place)
            task.heap = None
        if task.opening is not None:
            opening = self._later[task.opening]
            del opening.jobs[job]
            if not opening.jobs:
                del self._later[task.opening]
                self._openings.discard(task.opening)
            task.opening = None

    def _enter(self, job: J, task: Task[J], heap: Heap[J], rank: float) -> None:
        task.heap, task.place = heap, next(self._places)
        heap.push(rank, task.place, job)

    def _opens_at(self, number: int) -> float:
        """Return when polls for one deadline have to begin, so that there is a token for each."""
        opening = self._later[number]
        return -math.inf if opening.begun else number * _TOGETHER + _WITHIN - _TOKENS * self.pace * len(opening.jobs)

    def _open(self, number: int, now: float) -> bool:
        """Let tasks be polled that would not be any more before their deadline; return whether all are."""
        opening = self._later[number]
        if (at := self._opens_at(number)) > now:  # some have finished meanwhile
            self._openings.push(at, number, number)
            return True
        opening.begun = True
        for job in list(itertools.islice(opening.jobs, _AT_ONCE)):
            self._tasks[job].pulled = True
            self._hurry(job, now, urgent=False)
        if opening.jobs:
            self._openings.push(-math.inf, number, number)
        return not opening.jobs

    def _hurry(self, job: J, now: float, *, urgent: bool) -> None:
        """Let a task be polled now; one that is being polled has what it needs, unless that poll fails."""
        task = self._tasks[job]
        task.urgent = urgent
        if task.heap is not None:
            self._leave(job, task)
            task.due = min(task.due, now)
            self._make_due(job)

    def _make_due(self, job: J) -> None:
        task = self._tasks[job]
        self._leave(job, task)
        stage, rank = task.stage, task.seen
        if stage is _Stage.POLLED:
            rank = task.accepted + self._durations.of(task.kind).age_at(0.5, since=task.seen - task.accepted)
        if task.urgent and task.taken >= task.last_from:
            rank += _ANOTHER
        where = task.platform, task.kind, stage, task.urgent
        if (heap := self._due.get(where)) is None:
            heap = self._due[where] = Heap()
        self._enter(job, task, heap, rank)
