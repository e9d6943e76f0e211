"""`Job[R]`: the handle of one operation, from the queue to its result."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Generator, Sequence
from typing import Any, Generic, Protocol, TypeVar

from ..api.request import Request
from ..api.results import Clip
from ..api.wire import Reply, TaskState, read_now, read_task
from ..errors import JobCancelled, JobError, JobTimeout, JournalError, MusicError
from ..events import JobState, logger
from ..journal.record import OPEN

R = TypeVar("R", covariant=True)


class Desk(Protocol):
    """Where jobs are worked on; in practice the dispatcher."""

    def abandon(self, job: Job[Any], error: JobError) -> None:
        """Stop working on a job as far as that is possible, and end it with `error`."""

    def changed(self, job: Job[Any]) -> None:
        """Say that a job has a new state."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Call back after so many seconds of the service."""
        ...


class Job(Generic[R]):
    """One operation under way. `await job` gives its result; made by `submit` and `attach`, never by hand.

    Cancelling an `await job` (say by `asyncio.timeout`) leaves the job alone; `job.cancel()` does not.
    A job may be awaited by many tasks, and as often as you like.
    """

    __slots__ = (
        "__weakref__",
        "_accepted",
        "_clips",
        "_desk",
        "_done",
        "_ending",
        "_error",
        "_kept",
        "_left",
        "_operation",
        "_raw",
        "_result",
        "_timer",
        "_trouble",
        "_watcher",
        "credits",
        "key",
        "request",
        "state",
        "streaming_url",
        "task_id",
        "timeout",
    )

    def __init__(
        self,
        desk: Desk,
        operation: type[Request[R]],
        *,
        key: str,
        request: Request[R] | None = None,
        task_id: str | None = None,
        timeout: float | None = None,
        watcher: Callable[[Job[Any]], None] | None = None,
    ) -> None:
        self._desk = desk
        self._operation = operation
        self.key: str = key
        """The caller's name for the job; unique in its group."""
        self.request: Request[R] | None = request
        """What was asked for; None when the job was attached by its task id."""
        self.task_id: str | None = task_id
        """The service's id, once it took the job; it can be attached in any process."""
        self.state: JobState = JobState.QUEUED if task_id is None else JobState.SUBMITTED
        self.timeout: float | None = timeout
        self.credits: int = 0
        """Credits charged for it so far, as priced here; 0 again when the service refunded them."""
        self.streaming_url: str | None = None
        """Where the song can be heard before it is finished, once a look or a webhook told."""
        self._clips: tuple[Clip, ...] = ()
        self._raw: Any = None
        self._kept: str | None = None  # the answer of an earlier run, until somebody asks for it
        self._result: R | None = None
        self._error: MusicError | None = None
        self._left = False  # given up with its owner, not by itself: another run may go on with it
        self._ending: JobError | None = None  # given up in mid-POST: it ends with this as soon as the POST is over
        self._timer: asyncio.TimerHandle | None = None
        self._trouble: MusicError | None = None  # what went wrong last, and was tried again
        self._watcher = watcher
        # One future a waiter, so that cancelling one leaves the others alone; most queued jobs have none.
        self._accepted: list[asyncio.Future[None]] | None = None
        self._done: list[asyncio.Future[None]] | None = None

    def __repr__(self) -> str:
        task = f" task_id={self.task_id!r}" if self.task_id else ""
        return f"<Job {self.key!r} {self.state}{task}>"

    # --- for the user ------------------------------------------------------------------------------------------------

    @property
    def operation(self) -> type[Request[R]]:
        """The request class, also of an attached job."""
        return self._operation

    @property
    def raw(self) -> Any:
        """The service's last answer about it, as it came; None before the first."""
        self._read_kept()
        return self._raw

    @property
    def clips(self) -> tuple[Clip, ...]:
        """The clips seen at the last look, running ones included."""
        self._read_kept()
        return self._clips

    def __await__(self) -> Generator[Any, None, R]:
        """Wait for the result: see `result`."""
        return self.result().__await__()

    async def result(self) -> R:
        """Wait until the job has ended, and return its result.

        Raises what ended it otherwise: `JobFailed`, `JobTimeout`, `JobCancelled`, `SubmissionUnknown`, or the
        `ApiError` with which the service refused it. Cancelling the wait leaves the job alone.
        """
        await self.wait()
        if self._error is not None:
            raise self._error
        return self._value()

    async def accepted(self) -> str:
        """Wait until the service has the job, and return its task id.

        Raises what ended the job before that; `InvalidRequest` never (it was checked when built), `MusicError` for an
        operation that is answered at once and has no task. Cancelling the wait leaves the job alone.
        """
        if self.task_id is None and not self.done():
            self._accepted = self._accepted or []
            await _added(self._accepted)
        if self.task_id is not None:
            return self.task_id
        if self._error is not None:
            raise self._error
        raise MusicError(f"{self.key}: {self._operation.operation} is answered at once; it has no task id")

    async def wait(self) -> None:
        """Wait until the job has ended, however it ended. Cancelling the wait leaves the job alone."""
        if self.done():
            return
        self._done = self._done or []
        await _added(self._done)

    def done(self) -> bool:
        """Whether it has ended: with a result, an error, or because nobody watches it any more."""
        return self.state not in OPEN

    def exception(self) -> MusicError | None:
        """Return what ended the job, None when it succeeded or has not ended."""
        return self._error

    def cancel(self) -> bool:
        """Give the job up; awaiting it raises `JobCancelled`. Returns False when it had ended already.

        Queued: it is never sent and costs nothing. In mid-POST: the POST is finished and its task id kept, as it may
        be paid for. Submitted: the service goes on (it knows no cancelling), but nothing more is asked about it, and
        `task_id` can be attached again.
        """
        if self.done():
            return False
        self._desk.abandon(self, JobCancelled(self))
        return True

    # --- for the dispatcher and the group ---------------------------------------------------------------------------

    def _leave(self) -> None:
        """Give it up because its group or session ends; another run may go on with it."""
        if not self.done():
            self._left = self._ending is None  # what was cancelled by itself before stays so
            self._desk.abandon(self, JobCancelled(self))

    def _value(self) -> R:
        """Return the result of a job that has succeeded."""
        self._read_kept()
        return self._result  # type: ignore[return-value]  # ended without an error: the result is there

    def _move(self, state: JobState) -> None:
        """Go to an open state."""
        self.state = state
        self._desk.changed(self)

    def _take_id(self, task_id: str, *, cost: int) -> None:
        """Note that the service has the job, and start its timeout."""
        self.task_id = task_id
        self.credits = cost
        self._move(JobState.SUBMITTED)
        self._start_timer()
        _wake(self._accepted)

    def _start_timer(self) -> None:
        """Start the job's timeout, once."""
        if self.timeout is not None and self._timer is None and not self.done():
            self._timer = self._desk.call_later(self.timeout, self._run_out)

    def _run_out(self) -> None:
        """End it because its time, or its group's, is over."""
        if not self.done():
            error = JobTimeout(self)
            error.__cause__ = self._trouble
            self._desk.abandon(self, error)

    def _recall(self, answer: str | None, error: MusicError | None, state: JobState) -> None:
        """End as an earlier run did. The answer is read when somebody asks for it: there may be thousands."""
        self._kept = answer
        self._error = error
        self._end(state)

    def _read_kept(self) -> None:
        if self._kept is None:
            return
        reply = Reply(status=200, body=json.loads(self._kept))
        self._raw = reply.body
        try:
            if self._error is None and self.task_id is not None:
                progress = read_task(self._operation, self.task_id, reply)
                if progress.state is not TaskState.SUCCEEDED:
                    raise JournalError(f"{self.key}: the answer in the journal is not a finished one")
                self._result, self._clips = progress.result, progress.clips
            elif self._error is None and self.request is not None:
                self._result = read_now(self.request, reply)
        except MusicError as error:
            raise JournalError(f"{self.key}: the answer in the journal makes no sense: {error}") from error
        self._kept = None

    def _succeed(self, result: Any) -> None:
        """End with a result."""
        self._result = result
        self._end(JobState.SUCCEEDED)

    def _fail(self, error: MusicError, state: JobState = JobState.FAILED) -> None:
        """End with an error."""
        self._error = error
        self._end(state)

    def _give_up(self, error: MusicError) -> None:
        """End with an error, not in mid-POST: the service may have it all the same, if anything was paid for it."""
        self._fail(error, JobState.DETACHED if self.task_id or self.credits else JobState.CANCELLED)

    def _end(self, state: JobState) -> None:
        self.state = state
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._desk.changed(self)
        _wake(self._accepted)
        _wake(self._done)
        if self._watcher is not None:
            self._watcher(self)
            self._watcher = None


def _added(waiters: list[asyncio.Future[None]]) -> asyncio.Future[None]:
    waiters.append(asyncio.get_running_loop().create_future())
    return waiters[-1]


def _wake(waiters: list[asyncio.Future[None]] | None) -> None:
    for waiter in waiters or ():
        if not waiter.done():
            waiter.set_result(None)


_LEFT = {
    JobState.SENDING: "being sent just now",
    JobState.CANCELLED: "never sent",
    JobState.DETACHED: "left with the service, to be attached again by task id",
    JobState.UNKNOWN: "perhaps taken by the service: look before you pay twice",
}


def tell_left(who: str, jobs: Sequence[Job[Any]], *, journal: bool = False) -> None:
    """Log one warning about jobs that were given up with their owner, with the ids of all that were paid for."""
    told = []
    for state, what in _LEFT.items():
        names = [job.task_id or job.key for job in jobs if job.state is state]
        if names:
            shown = names if state is not JobState.CANCELLED else [*names[:5], *(["…"] if len(names) > 5 else [])]
            told.append(f"{len(names)} {what} ({', '.join(shown)})")
    if told:
        kept = "; the journal has them all: submit them again, or resume, to go on" if journal else ""
        logger.warning("%s with unfinished jobs: %s%s", who, "; ".join(told), kept)
