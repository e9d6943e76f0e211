"""What a batch did, and when: a listener that records each job's times and every request. Pure but for its clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import attrs

from ..errors import JobInfo
from ..events import Event, JobChanged, JobState, JobStreaming, Purpose, RequestRefused, RequestSent

_OPEN = frozenset({JobState.QUEUED, JobState.SENDING, JobState.SUBMITTED})


@runtime_checkable
class _Explained(Protocol):
    """A job that knows its error."""

    def exception(self) -> BaseException | None: ...


@attrs.frozen(kw_only=True)
class JobLine:
    """The history of one job; all times in seconds since the batch began, None for what did not happen."""

    key: str
    task_id: str | None
    state: JobState
    credits: int
    queued: float | None = None
    sent: tuple[float, ...] = ()
    """When its request was sent; more than once after a refusal."""
    accepted: float | None = None
    """When the service accepted it."""
    polls: tuple[float, ...] = ()
    """When its task was polled."""
    streaming: float | None = None
    """When one could first listen to it."""
    ended: float | None = None
    reason: str = ""
    """Why it ended without a result."""


@attrs.frozen(kw_only=True)
class Spent:
    """One request, and the token that it took."""

    at: float
    purpose: Purpose
    job: int
    """Index of the job in `Batch.jobs`."""
    refused: bool = False
    """The service said 429."""


@attrs.frozen(kw_only=True)
class Batch:
    """What happened up to a moment: the jobs in the order in which they were queued, the requests as they were sent."""

    jobs: tuple[JobLine, ...] = ()
    requests: tuple[Spent, ...] = ()
    length: float = 0.0
    """Seconds from the first event to the last, or to now when a job is still open."""


@attrs.define
class _Way:
    """What is known about a job so far."""

    job: JobInfo  # kept, so that its id() belongs to no other job
    number: int
    state: JobState = JobState.QUEUED
    queued: float | None = None
    sent: list[float] = attrs.field(factory=list)
    accepted: float | None = None
    polls: list[float] = attrs.field(factory=list)
    streaming: float | None = None
    ended: float | None = None
    last: int | None = None
    """Its last request, as an index into all requests."""


@attrs.define(eq=False)
class History:
    """Listens to a session: `history = History(); music.events.listen(history)`, then `write_page(…, history)`.

    `clock` returns seconds; in a sandbox of speed 60 pass `lambda: 60 * time.monotonic()` for the service's. It keeps
    every job that it heard of: stop the listening, or start a new one, when a session runs for weeks.
    """

    clock: Callable[[], float] = time.monotonic
    _ways: dict[int, _Way] = attrs.field(factory=dict, init=False, repr=False)
    _requests: list[Spent] = attrs.field(factory=list, init=False, repr=False)
    _began: float | None = attrs.field(default=None, init=False)
    _last: float = attrs.field(default=0.0, init=False)

    def __call__(self, event: Event) -> None:
        """Record an event, at the clock's time."""
        self.hear(event, self.clock())

    def hear(self, event: Event, now: float) -> None:
        """Record an event that happened at `now`, in seconds; events that concern no job are ignored."""
        if not isinstance(event, JobChanged | RequestSent | RequestRefused | JobStreaming):
            return
        if self._began is None:
            self._began = now
        at = self._last = now - self._began
        way = self._ways.get(id(event.job))
        if way is None:
            way = self._ways[id(event.job)] = _Way(event.job, len(self._ways))
        match event:
            case JobChanged(state=state):
                self._moved(way, state, at)
            case RequestSent(purpose=purpose):
                (way.polls if purpose is Purpose.POLL else way.sent).append(at)
                way.last = len(self._requests)
                self._requests.append(Spent(at=at, purpose=purpose, job=way.number))
            case RequestRefused() if way.last is not None:
                self._requests[way.last] = attrs.evolve(self._requests[way.last], refused=True)
            case JobStreaming():
                way.streaming = at

    def _moved(self, way: _Way, state: JobState, at: float) -> None:
        way.state = state
        if state is JobState.QUEUED:
            way.queued = at if way.queued is None else way.queued  # after a refusal it keeps waiting
        elif state is JobState.SUBMITTED:
            way.accepted = at if way.accepted is None else way.accepted
        elif state not in _OPEN:
            way.ended = at

    def batch(self, now: float | None = None) -> Batch:
        """Return what happened until `now`, by the same clock (default: its time now)."""
        # The requests first: in another thread than the session's, both may grow meanwhile.
        requests, ways, length = tuple(self._requests), tuple(self._ways.values()), self._last
        if self._began is not None and any(way.ended is None for way in ways):
            length = max(length, (self.clock() if now is None else now) - self._began)
        return Batch(jobs=tuple(map(_line, ways)), requests=requests, length=length)


def _line(way: _Way) -> JobLine:
    job = way.job
    error = job.exception() if way.ended is not None and isinstance(job, _Explained) else None
    return JobLine(
        key=job.key,
        task_id=job.task_id,
        state=way.state,
        credits=job.credits,
        queued=way.queued,
        sent=tuple(way.sent),
        accepted=way.accepted,
        polls=tuple(way.polls),
        streaming=way.streaming,
        ended=way.ended,
        reason="" if error is None else str(error),
    )
