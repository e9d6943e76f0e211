"""`Job[R]`: the handle of one operation, from the queue to its result. What happens to it is decided in `lifecycle`."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable
from typing import Any, Generic, Protocol, TypeVar

from ..api.request import Request
from ..api.results import Clip
from ..errors import ConfigurationError, JobCancelled, MusicError, one_line
from ..events import JobState, logger
from ..home import Home
from .unread import Ended, log_error
from .work import Moment, Work

R = TypeVar("R", covariant=True)


class Giver(Protocol):
    """Where jobs are given up; in practice the dispatcher."""

    def give_up(self, job: Job[Any], error: MusicError, *, released: bool = False) -> None:
        """End a job with `error`, now or as soon as its POST is over."""

    def read(self, work: Work) -> Ended | None:
        """Note that somebody has the result or the error of a job that has ended; return what was noted of it."""
        ...

    @property
    def home(self) -> Home:
        """The loop, thread and process to which the jobs belong."""
        ...


class Job(Generic[R]):
    """One operation under way. `await job` gives its result; made by `submit` and `attach`, never by hand.

    Cancelling an `await job` (say by `asyncio.timeout`) leaves the job alone; `job.cancel()` does not.
    A job may be awaited by many tasks, and as often as you like.
    """

    __slots__ = ("__weakref__", "_giver", "_work")

    def __init__(self, giver: Giver, work: Work) -> None:
        self._giver = giver
        self._work = work
        work.job = self

    def __repr__(self) -> str:
        task = f" task_id={self.task_id!r}" if self.task_id else ""
        return f"<Job {self.key!r} {self.state}{task}>"

    @property
    def key(self) -> str:
        """The caller's name for the job; unique in its group."""
        return self._work.key

    @property
    def request(self) -> Request[R] | None:
        """What was asked for; None when the job was attached by its task id."""
        return self._work.request

    @property
    def operation(self) -> type[Request[R]]:
        """The request class, also of an attached job."""
        return self._work.operation

    @property
    def state(self) -> JobState:
        """Where it stands."""
        return self._work.state

    @property
    def task_id(self) -> str | None:
        """The service's id, once it took the job; it can be attached in any process."""
        return self._work.task_id

    @property
    def timeout(self) -> float | None:
        """Seconds that it may take from the moment the service accepted it."""
        return self._work.timeout

    @property
    def cost(self) -> int:
        """Credits that it costs when the service takes it, as priced here; 0 for an attached task."""
        return self._work.cost

    @property
    def credits(self) -> int:
        """Credits charged for it so far, as priced here; 0 again when the service refunded them."""
        return self._work.credits

    @property
    def streaming_url(self) -> str | None:
        """Where the song can be heard before it is finished, once a poll or a webhook has said so."""
        return self._work.streaming_url

    @property
    def raw(self) -> Any:
        """The service's last answer about it, as it came; None before the first."""
        self._read()
        self._work.read_answer()
        return self._work.raw

    @property
    def clips(self) -> tuple[Clip, ...]:
        """The clips seen at the last poll, running ones included."""
        self._read()
        self._work.read_answer()
        return self._work.clips

    def __await__(self) -> Generator[Any, None, R]:
        """Wait for the result: see `result`."""
        return self.result().__await__()

    async def result(self) -> R:
        """Wait until the job has ended, and return its result.

        Raises what ended it otherwise: `JobFailed`, `JobTimeout`, `JobCancelled`, `SubmissionUnknown`, or the
        `ApiError` with which the service refused it. Cancelling the wait leaves the job alone.
        """
        if not self._work.done:
            await self._wait_for(Moment.ENDED)
        return self.value()

    def value(self) -> R:
        """Return the result of a job that has ended; raises what ended it otherwise."""
        self._read()
        if self._work.error is not None:
            raise self._work.error.fresh()
        if not self.done():
            raise MusicError(f"{self.key} has not ended; await it")
        self._work.read_answer()
        result: R = self._work.result
        return result

    async def recorded(self) -> None:
        """Wait until the journal has the job: from then on no crash loses it, and a web service may answer 202.

        Raises what ended the job before that, `ConfigurationError` in a session without a journal. Cancelling the wait
        leaves the job alone.
        """
        if self._work.id is None:
            raise ConfigurationError("the session has no journal: open it with MusicSession(journal='jobs.db')")
        if not self._work.recorded and not self.done():
            await self._wait_for(Moment.RECORDED)
        if not self._work.recorded and self._work.error is not None:
            self._read()
            raise self._work.error.fresh()

    async def accepted(self) -> str:
        """Wait until the service has the job, and return its task id.

        Raises what ended the job before that; `InvalidRequest` never (it was checked when built), `MusicError` for an
        operation that is answered at once and has no task. Cancelling the wait leaves the job alone.
        """
        if self.task_id is None and not self.done():
            await self._wait_for(Moment.ACCEPTED)
        if self.task_id is not None:
            return self.task_id
        if self._work.error is not None:
            self._read()
            raise self._work.error.fresh()
        raise MusicError(f"{self.key}: {self.operation.operation} is answered at once; it has no task id")

    async def wait(self) -> None:
        """Wait until the job has ended, however it ended. Cancelling the wait leaves the job alone."""
        if not self.done():
            await self._wait_for(Moment.ENDED)

    def done(self) -> bool:
        """Whether it has ended: with a result, an error, or because nobody watches it any more."""
        return self._work.done

    def exception(self) -> MusicError | None:
        """Return what ended the job, None when it succeeded or has not ended."""
        if self._work.error is not None:
            self._read()
        return self._work.error

    def cancel(self) -> bool:
        """Give the job up; awaiting it raises `JobCancelled`. Returns False when it had ended already.

        Queued: it is never sent and costs nothing. In mid-POST: the POST is finished and its task id kept, as it may
        be paid for. Submitted: the service goes on (it knows no cancelling), but nothing more is asked about it, and
        `task_id` can be attached again.
        """
        if self.done():
            return False
        self._giver.home.check()
        self._giver.give_up(self, JobCancelled(self))
        return True

    async def _wait_for(self, moment: Moment) -> None:
        self._giver.home.check()
        # One future a waiter, so that cancelling one leaves the others alone; most queued jobs have none.
        waiter = asyncio.get_running_loop().create_future()
        self._work.waiters = [*self._work.waiters, (moment, waiter)]
        await waiter

    def _read(self) -> None:
        if self._work.unread is not None:
            self._giver.read(self._work)


def peek(job: Job[Any]) -> MusicError | None:
    """Return what ended a job, without noting that somebody has read it."""
    return job._work.error  # noqa: SLF001 - the handle and those who hold it for the user are one room


def was_released(job: Job[Any]) -> bool:
    """Whether it was given up with its group or session, and not by its caller."""
    return job._work.released  # noqa: SLF001 - as above


def note_given_up(job: Job[Any], left: Unfinished) -> None:
    """Note a job that was given up with its owner; it is not to be named again."""
    job._giver.read(job._work)  # noqa: SLF001 - as above
    left.add(job)


def note_leftover(job: Job[Any], left: Unfinished) -> None:
    """Note a job whose owner ends, and what of it nobody has read."""
    ended = job._giver.read(job._work)  # noqa: SLF001 - as above
    if ended is not None:
        left.add_ended(ended)


_LEFT = {
    JobState.SENDING: "being sent just now",
    JobState.CANCELLED: "never sent",
    JobState.DETACHED: "released to the service, to be attached again by task id",
    JobState.UNKNOWN: "perhaps taken by the service: check before you pay twice",
    JobState.SUCCEEDED: "finished, and nobody has read the result",
}
_SHOWN = 5
"""How many of the jobs that cost nothing are named."""
_ERRORS_SHOWN = 20
"""How many of the errors that nobody has read are logged, one by one."""


class Unfinished:
    """What is left of jobs that were given up with their owner: the names of all that may be paid for."""

    def __init__(self, jobs: Iterable[Job[Any]] = ()) -> None:
        self.counts: Counter[JobState] = Counter()
        self.names: defaultdict[JobState, list[str]] = defaultdict(list)
        self.errors: list[Ended] = []
        for job in jobs:
            self.add(job)

    def add(self, job: Job[Any]) -> None:
        """Note one that was given up."""
        self._count(job.state, job.task_id or job.key)

    def add_ended(self, ended: Ended) -> None:
        """Note one that had ended before."""
        if ended.error is not None:
            self.errors.append(ended)
        if ended.error is None or ended.state in (JobState.DETACHED, JobState.UNKNOWN):  # which may be paid for
            self._count(ended.state, ended.name)

    @property
    def unfinished(self) -> bool:
        """Whether there is any that has no result."""
        return any(count for state, count in self.counts.items() if state is not JobState.SUCCEEDED)

    def _count(self, state: JobState, name: str) -> None:
        self.counts[state] += 1
        if state is not JobState.CANCELLED or self.counts[state] <= _SHOWN:
            self.names[state].append(one_line(name))


def warn_of_unfinished(who: str, left: Unfinished, *, journal: bool = False) -> None:
    """Log one warning about jobs that were given up with their owner or whose result nobody has, and unread errors."""
    for ended in left.errors[:_ERRORS_SHOWN]:
        log_error(ended)
    if (more := len(left.errors) - _ERRORS_SHOWN) > 0:
        logger.error("nobody asked why %d more jobs ended", more)
    parts = []
    for state, what in _LEFT.items():
        if count := left.counts[state]:
            names = left.names[state]
            parts.append(f"{count} {what} ({', '.join([*names, '…'] if len(names) < count else names)})")
    if parts:
        kept = "; the journal has them all: submit them again, or resume, to go on" if journal else ""
        what = "unfinished jobs" if left.unfinished else "results that nobody has read"
        logger.warning("%s with %s: %s%s", who, what, "; ".join(parts), kept)
