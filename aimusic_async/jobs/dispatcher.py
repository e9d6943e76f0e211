"""The one loop that spends tokens: it takes the next one, and only then asks the schedule what it is worth most for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskGroup

from ..errors import JobCancelled, JobError, MusicError, SubmissionUnknown
from ..events import Events, JobChanged, JobState, logger
from ..settings import Settings
from ..transport.http import HttpTransport
from ..transport.limiter import RateLimiter, Token
from .clock import Clock
from .job import Job
from .requests import Requests
from .schedule import EVERYTHING, Choice, Kind, Schedule

_POLLS = frozenset({Kind.POLL})


class Dispatcher:
    """Works on the jobs of one session. `run` is its loop; everything else may be called from the loop's thread."""

    def __init__(
        self,
        transport: HttpTransport,
        limiter: RateLimiter,
        clock: Clock,
        events: Events,
        settings: Settings,
        *,
        poll_limiter: RateLimiter | None = None,
    ) -> None:
        self._limiter = limiter
        self._poll_limiter = poll_limiter
        self._clock = clock
        self._events = events
        self._schedule: Schedule[Job[Any]] = Schedule()
        self._kinds: dict[Job[Any], Kind] = {}  # the jobs that have not ended, and as what they were queued
        limiters = [limiter] if poll_limiter is None else [limiter, poll_limiter]
        self._requests = Requests(
            transport, limiters, clock, events, settings, schedule=self._schedule, kinds=self._kinds
        )
        self._one_by_one = transport.tells_when_sent
        self._news = asyncio.Event()
        self._closing = False

    # --- what jobs and sessions call -----------------------------------------------------------------------------

    def submit(self, job: Job[Any], *, direct: bool, priority: int = 0) -> None:
        """Queue a job; a `direct` one goes before batch work, one of a higher `priority` before others of its kind."""
        self._check_running()
        self._kinds[job] = Kind.CALL if direct else Kind.SUBMIT
        self._schedule.add(job, self._kinds[job], now=self._clock.now(), priority=priority)
        self.changed(job)
        self._news.set()

    def attach(self, job: Job[Any]) -> None:
        """Watch a job that the service already has; the first look is due at once."""
        self._check_running()
        self._kinds[job] = Kind.SUBMIT
        self._requests.attach(job)
        job._start_timer()
        self.changed(job)
        self._news.set()

    def _check_running(self) -> None:
        if self._closing:
            raise MusicError("the session is closing, or broke: nothing more can be submitted")

    def open_jobs(self) -> tuple[Job[Any], ...]:
        """Return the jobs that have not ended."""
        return tuple(self._kinds)

    def changed(self, job: Job[Any]) -> None:
        """See `Desk.changed`."""
        if job.done():
            self._kinds.pop(job, None)
            self._requests.forget(job)
        self._events.emit(JobChanged(job, job.state))

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """See `Desk.call_later`."""
        return self._clock.call_later(seconds, callback)

    def abandon(self, job: Job[Any], error: JobError) -> None:
        """See `Desk.abandon`."""
        if job.state is JobState.SENDING:
            job._ending = job._ending or error
        else:
            self._schedule.drop(job)
            job._give_up(error)
            self._news.set()

    async def close(self) -> None:
        """Send nothing more, give up the open jobs, and wait for the POSTs that are under way (their ids are kept).

        A cancelled anyio scope around it does not disturb that; cancelling the task once more breaks the POSTs off.
        """
        self._closing = True
        for job in self.open_jobs():
            job.cancel()
        try:
            with anyio.CancelScope(shield=True):
                while self._requests.posts:
                    self._requests.quiet.clear()
                    await self._requests.quiet.wait()
        except asyncio.CancelledError:
            for scope in self._requests.posts:
                scope.shield = False
            raise

    # --- the loop --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Spend tokens until cancelled. If it breaks, every open job ends with the error."""
        try:
            async with anyio.create_task_group() as requests:
                if self._poll_limiter is None:
                    await self._spend(self._limiter, EVERYTHING, requests)
                else:
                    requests.start_soon(self._spend, self._poll_limiter, _POLLS, requests)
                    await self._spend(self._limiter, EVERYTHING - _POLLS, requests)
        except Exception as error:
            self._give_up(partial(_broken, error=error))
            raise
        finally:
            self._give_up(JobCancelled)  # none are left, but when the whole loop was cancelled

    async def _spend(self, limiter: RateLimiter, kinds: frozenset[Kind], requests: TaskGroup) -> None:
        """Spend the tokens of one limiter on requests of some kinds, for ever."""
        while True:
            await self._until_due(kinds)
            token = await limiter.acquire()
            # The token is bound only here: what was best when the waiting began may not be any more.
            choice = None if self._closing else self._schedule.take(self._clock.now(), kinds)
            if choice is None:
                token.give_back()
                continue
            left = asyncio.Event()
            requests.start_soon(self._perform, choice, token, left)
            if self._one_by_one:
                # While one is still connecting, nobody knows from when the next period counts.
                await left.wait()

    def _give_up(self, error_for: Callable[[Job[Any]], MusicError]) -> None:
        self._closing = True
        for job in self.open_jobs():
            self._break_off(job, error_for(job))

    async def _until_due(self, kinds: frozenset[Kind]) -> None:
        while True:
            self._news.clear()
            now = self._clock.now()
            due = None if self._closing else self._schedule.due_at(now, kinds)
            if due is not None and due <= now:
                return
            if due is None:
                await self._news.wait()
                continue
            with anyio.move_on_after(max(self._clock.real(due - now), 0.001)):  # a shorter wait would spin
                await self._news.wait()

    async def _perform(self, choice: Choice[Job[Any]], token: Token, left: asyncio.Event) -> None:
        job = choice.job
        try:
            if job.done():  # given up since it was chosen, an instant ago
                token.give_back()
            elif choice.kind is Kind.POLL:
                await self._requests.poll(job, token, left)
            else:
                await self._requests.send(job, token, left)
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not take the other jobs along
            logger.exception("%s broke", job.key)
            if not job.done():
                self._break_off(job, _broken(job, error), sent=left.is_set())
        finally:
            left.set()
            self._news.set()

    def _break_off(self, job: Job[Any], error: MusicError, *, sent: bool = True) -> None:
        """End a job wherever it stands; in mid-POST its fate is unknown, if it may have been `sent`."""
        self._schedule.drop(job)
        if job.state is JobState.SENDING and sent:
            unknown = SubmissionUnknown(job, "broken off while it was sent")
            unknown.__cause__ = error
            job._fail(unknown, JobState.UNKNOWN)
        else:
            job._give_up(error)


def _broken(job: Job[Any], error: Exception) -> MusicError:
    broken = MusicError(f"{job.key}: the session broke: {error!r}")
    broken.__cause__ = error
    return broken
