"""What a batch knows while it runs: the state of each job, and how long tasks take, from the session's events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any

import attrs

from ..events import Event, JobChanged, JobState, Purpose, RequestAnswered
from ..jobs.job import Job
from ..scheduling.durations import Durations
from .plan import kind_of

_AT_ONCE = 0.5
"""Seconds between a poll and the change that it showed, at most."""


@attrs.define
class _Task:
    """A task that runs."""

    accepted: float
    running: float
    """When it was surely still running."""
    polled: float
    """When it was last polled; the next event says what that showed."""


@attrs.define
class Tracker:
    """Listens to a session for the jobs of these keys; `clock` returns the service's seconds."""

    keys: Collection[str]
    clock: Callable[[], float]
    durations: Durations = attrs.field(factory=Durations)
    """What was learned."""
    states: dict[str, JobState] = attrs.field(factory=dict)
    """The state of each job, by its key."""
    _tasks: dict[str, _Task] = attrs.field(factory=dict)

    def __call__(self, event: Event) -> None:
        """Record one event."""
        match event:
            case JobChanged(job=Job(key=key) as job, state=state) if key in self.keys:
                self.states[key] = state
                self._moved(job, state, self.clock())
            case RequestAnswered(purpose=Purpose.POLL, status=200, job=Job(key=key) as job) if key in self._tasks:
                self._polled(job, self._tasks[key], self.clock())

    def _polled(self, job: Job[Any], task: _Task, now: float) -> None:
        if task.polled > task.running:  # another poll came after it, so it found the task running
            self._learn(job, task, task.polled, finished=False)
            task.running = task.polled
        task.polled = now

    def _moved(self, job: Job[Any], state: JobState, now: float) -> None:
        if state is JobState.SUBMITTED:
            self._tasks.setdefault(job.key, _Task(now, now, now))
        elif job.done() and (task := self._tasks.pop(job.key, None)) and state is JobState.SUCCEEDED:
            if now - task.polled > _AT_ONCE:  # a webhook reported it, so the last poll found it running
                self._polled(job, task, now)
            self._learn(job, task, now, finished=True)

    def _learn(self, job: Job[Any], task: _Task, age: float, *, finished: bool) -> None:
        operation = job.operation
        kind = kind_of(operation.operation, getattr(job.request, "mv", None), operation.endpoint.typical)
        since = task.running - task.accepted
        self.durations.observe(kind, since=since, age=age - task.accepted, finished=finished)

    def ages(self) -> Mapping[str, float]:
        """Return for how many seconds each task has been running, by the key of its job."""
        now = self.clock()
        return {key: now - task.accepted for key, task in self._tasks.items()}

    def counts(self) -> Counter[JobState]:
        """Return how many jobs are in which state."""
        return Counter(self.states.values())
