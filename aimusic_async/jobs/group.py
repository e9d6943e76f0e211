"""`JobGroup`: submit many jobs, await them together, cancel them together, give them one time limit."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Collection
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeAlias, TypeVar

from ..api.request import Request
from ..errors import ConfigurationError, InvalidRequest, JobCancelled, JobTimeout, MusicError, WrongLoop
from ..events import JobState
from ..journal.budget import Budget
from ..journal.record import as_text
from ..settings import check_flag
from ..slices import in_slices, see_through
from .job import Job, Unfinished, note_given_up, note_leftover, peek, warn_of_unfinished, was_released

R = TypeVar("R")

OnFailure: TypeAlias = Literal["wait", "cancel", "keep"]

_FAILURES_KEPT = 100
"""Without history: a program that fails for months is not to fill the memory."""


class Host(Protocol):
    """Who makes and queues the jobs; in practice the session."""

    @property
    def has_journal(self) -> bool:
        """Whether the jobs are written down."""
        ...

    def open_job(
        self,
        request: Request[R],
        *,
        key: str,
        named: bool,
        timeout: float | None,
        priority: int,
        group: str,
        budget: Budget | None,
        resend: Collection[JobState],
        watcher: Callable[[Job[Any]], None],
        deadline: float,
    ) -> Job[R]:
        """Queue a request as a job with whose end `watcher` is called; `named`: its key means the same in every run."""
        ...

    def give_up(self, job: Job[Any], error: MusicError, *, released: bool = False) -> None:
        """See `job.Giver.give_up`."""

    def check_loop(self) -> None:
        """Raise `WrongLoop` for whoever comes from another event loop, thread or process than the jobs'."""

    def now(self) -> float:
        """Return the time, on the service's clock; raises `MusicError` when nothing can be submitted."""
        ...

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Call back after so many seconds of the service."""
        ...


class JobGroup:
    """Jobs that belong together; an async context manager, made by `MusicSession.group`.

    Leaving the block waits for every job. What then happens with failures is `on_failure`'s to say:

    - `"wait"`: all jobs finish, then one `ExceptionGroup` of the failures is raised; results stay readable;
    - `"cancel"`: the first failure cancels what is left, then the same;
    - `"keep"`: nothing is raised; see `failures()`.

    Jobs that you cancelled yourself are no failures; those of a session that is left before the group are. A group is
    entered once. Leaving the block by an exception, cancellation included, cancels
    what was not sent yet (it costs nothing) and detaches what was: those can be attached again by their task ids.

    With a `name`, and a journal in the session, the group goes on where an earlier run of the program stopped: a job
    of the same key is not sent again, but has its result, or is watched on, or waits for its turn.

    Without `history` the group lets go of each job that has ended, but for the first hundred failures: so it may live
    for months. Who wants a result keeps the job; a key is free again when its job has ended.
    """

    def __init__(
        self,
        host: Host,
        *,
        name: str = "",
        timeout: float | None = None,
        on_failure: OnFailure = "wait",
        budget: int | None = None,
        history: bool = True,
    ) -> None:
        if on_failure not in ("wait", "cancel", "keep"):
            raise ConfigurationError(f"on_failure must be 'wait', 'cancel' or 'keep'; got {on_failure!r}")
        check_flag("history", history)
        self.name: str = name
        """The group's name in the journal; empty without one."""
        self._budget = None if budget is None else Budget(budget)
        self._contents: Counter[str] = Counter()  # how often the same request was submitted without a key
        self._host = host
        self._timeout = timeout
        self._on_failure = on_failure
        self._history = history
        self._jobs: dict[str, Job[Any]] = {}  # all, or without history those that have not ended
        self._kept: list[Job[Any]] = []  # without history: the first failures
        self._ended: list[Job[Any]] = []  # empty without history
        self._followers: list[deque[Job[Any]]] = []  # of `as_completed`: what it has not yielded yet
        self._submitted = self._open = self._failed = self._spent = 0
        self._progress = asyncio.Event()
        self._failure: MusicError | None = None
        self._lost: set[Job[Any]] = set()  # their session was left before the group
        self._inside = self._entered = False
        self._timer: asyncio.TimerHandle | None = None
        self._expired = False
        self._deadline = math.inf

    @property
    def spent(self) -> int:
        """Credits that its jobs cost so far, as priced here, refunds taken off."""
        return self._spent + sum(job.credits for job in self.jobs)

    @property
    def jobs(self) -> tuple[Job[Any], ...]:
        """All jobs, in the order in which they were submitted.

        Without history the first failures, and then those that have not ended.
        """
        return (*self._kept, *self._jobs.values())

    def __getitem__(self, key: str) -> Job[Any]:
        """Return the job of that key."""
        return self._jobs[key]

    def submit(
        self,
        request: Request[R],
        *,
        timeout: float | None = None,
        key: str | None = None,
        priority: int = 0,
        resend_unknown: bool = False,
        resend_failed: bool = False,
    ) -> Job[R]:
        """Queue a request and return its job at once.

        `timeout`: seconds from the moment the service accepted it. `key`: your name for it, unique in the group;
        otherwise the operation and a number, in a named group what it asks for and how often that was asked before.
        With a journal, keys of groups without a name are those of the whole account.
        `priority`: higher ones are sent first. `resend_unknown`: when an earlier run ended it as `unknown`, send it
        again, and perhaps pay twice: check first. `resend_failed`: the same for one that the service could not do.
        Raises `ConfigurationError` for a key that is taken.
        """
        self._host.check_loop()
        if not self._inside:
            raise MusicError("submit to a group inside its block: `async with music.group() as group:`")
        if not isinstance(request, Request):
            raise InvalidRequest("request", "must be a request such as sonic.GetBpm(clip_id=…)", request)
        name = key if key is not None else self._free_key(request)
        if name in self._jobs:
            raise ConfigurationError(f"the group has a job with the key {name!r} already")
        job = self._host.open_job(
            request,
            key=name,
            named=key is not None or self.name != "",
            timeout=timeout,
            priority=priority,
            group=self.name,
            budget=self._budget,
            resend=to_resend(unknown=resend_unknown, failed=resend_failed),
            watcher=self._job_ended,
            deadline=self._deadline,
        )
        self._submitted += 1
        self._open += 1
        if self._history or not job.done():
            self._jobs[job.key] = job
        if self._expired:
            self._host.give_up(job, JobTimeout(job))
        elif self._on_failure == "cancel" and self._failure is not None:
            job.cancel()
        return job

    def estimate(self) -> int:
        """Return what all jobs of the group cost together, in credits, as priced here; call it before you await.

        Jobs are sent from the first `await` on: until then nothing is spent, and `cancel()` costs nothing.
        """
        return sum(job.cost for job in self.jobs)

    def results(self) -> list[Any]:
        """Return the results there are, in the order of submitting. `Any`: a group may mix operations."""
        return [job.value() for job in self.jobs if job.done() and peek(job) is None]

    def failures(self) -> dict[Job[Any], MusicError]:
        """Return the jobs that failed, each with its error; those that were cancelled are not among them."""
        return {job: error for job in self.jobs if self._is_failure(job) and (error := job.exception()) is not None}

    async def as_completed(self) -> AsyncIterator[Job[Any]]:
        """Yield each job as it ends, however it ends; jobs submitted meanwhile are included.

        Ends when no job is left. Without history, jobs that ended before are not included. Cancelling it leaves the
        jobs alone.
        """
        self._host.check_loop()
        ended = deque(self._ended)
        self._followers.append(ended)
        try:
            while True:
                while ended:
                    yield ended.popleft()
                if not self._open:
                    return
                await self._next_end()
        finally:
            self._followers = [one for one in self._followers if one is not ended]

    def cancel(self) -> int:
        """Cancel every job that has not ended (see `Job.cancel`); return how many that were.

        All at once: it holds the event loop for some 5 µs a job.
        """
        self._host.check_loop()
        return sum(job.cancel() for job in self.jobs)

    async def __aenter__(self) -> Self:
        """Start the group's timeout. Raises `MusicError` for a group that was entered before."""
        self._host.check_loop()
        now = self._host.now()
        if self._entered:
            raise MusicError("a group is entered once: make another with music.group()")
        self._entered = self._inside = True
        if self._timeout is not None:
            self._deadline = now + self._timeout
            self._timer = self._host.call_later(self._timeout, self._run_out)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for all jobs, then raise the failures as `on_failure` says; cancelling the wait cancels the jobs."""
        try:
            self._host.check_loop()
        except WrongLoop:
            if error is None:
                raise
            return  # a forked child comes to its end, say: what ends it goes on, and the jobs are its parent's
        try:
            if error is None:
                while self._open:
                    await self._next_end()
        finally:
            self._inside = False
            if self._timer is not None:
                self._timer.cancel()
            if self._open or error is not None:
                await self._let_go()
        if error is None and self._failed and self._on_failure != "keep":
            raise await self._error()

    async def _let_go(self) -> None:
        left, jobs = Unfinished(), self.jobs

        def let_go(job: Job[Any]) -> None:
            if not job.done():
                self._host.give_up(job, JobCancelled(job), released=True)
                note_given_up(job, left)
            else:
                note_leftover(job, left)

        try:
            await see_through(in_slices(jobs, let_go))
        finally:
            warn_of_unfinished("the group was left", left, journal=self._host.has_journal)

    async def _error(self) -> ExceptionGroup[MusicError]:
        failed: list[tuple[Job[Any], MusicError]] = []

        def look(job: Job[Any]) -> None:
            if self._is_failure(job) and (error := job.exception()) is not None:
                failed.append((job, error))

        def name(failure: tuple[Job[Any], MusicError]) -> None:
            job, error = failure
            if job.key not in str(error):
                error.add_note(f"job {job.key}")

        await see_through(in_slices(self.jobs, look))
        different = list(dict.fromkeys(error for _, error in failed))  # a wrong key fails all jobs with one error
        if len(different) == len(failed):
            await see_through(in_slices(failed, name))
        more = f"; the first {len(failed)} are here" if len(failed) < self._failed else ""
        return ExceptionGroup(f"{self._failed} of {self._submitted} jobs failed{more}", different)

    def _free_key(self, request: Request[Any]) -> str:
        if self.name:
            return self._content_key(request)
        numbers = itertools.count(self._submitted + 1)
        return next(name for number in numbers if (name := f"{request.operation}#{number}") not in self._jobs)

    def _content_key(self, request: Request[Any]) -> str:
        """Name a job after what it asks for, so that the next run of the program names it the same."""
        from ..api.plain import to_plain  # noqa: PLC0415 - loads every operation, which only a journal needs

        content = hashlib.sha256(as_text(to_plain(request)).encode()).hexdigest()[:12]
        self._contents[content] += 1
        return f"{request.operation}:{content}#{self._contents[content]}"

    async def _next_end(self) -> None:
        self._progress.clear()
        await self._progress.wait()

    def _job_ended(self, job: Job[Any]) -> None:
        self._open -= 1
        for ended in self._followers:
            ended.append(job)
        self._progress.set()
        error = peek(job)
        if self._inside and isinstance(error, JobCancelled) and was_released(job):
            self._lost.add(job)
        failed = self._is_failure(job)
        self._failed += failed
        if self._history:
            self._ended.append(job)
        else:
            self._jobs.pop(job.key, None)
            if failed and len(self._kept) < _FAILURES_KEPT:
                self._kept.append(job)
            else:
                self._spent += job.credits
        if not failed or self._failure is not None:
            return
        if isinstance(error, JobCancelled):  # the session is being left: it lets go of the others, too
            return
        self._failure = error
        if self._on_failure == "cancel" and not self._expired:  # when time is over, each job says so itself
            in_slices(self.jobs, Job.cancel)

    def _is_failure(self, job: Job[Any]) -> bool:
        """Whether it failed: what its caller cancelled did not."""
        error = peek(job)
        return error is not None and (not isinstance(error, JobCancelled) or job in self._lost)

    def _run_out(self) -> None:
        self._expired = True
        in_slices(self.jobs, lambda job: None if job.done() else self._host.give_up(job, JobTimeout(job)))


def to_resend(*, unknown: bool, failed: bool) -> Collection[JobState]:
    """Return the states in the journal from which a job is to be sent again."""
    for name, wanted in (("resend_unknown", unknown), ("resend_failed", failed)):
        check_flag(name, wanted)
    return [state for state, wanted in ((JobState.UNKNOWN, unknown), (JobState.FAILED, failed)) if wanted]
