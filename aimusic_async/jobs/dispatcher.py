"""The one loop that spends tokens: it takes the next one, and only then asks the schedule what it is worth most for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol

import anyio
from anyio.abc import TaskGroup

from ..api.models import canonical
from ..api.request import Answer
from ..api.wire import Progress, Reply, TaskState, read_now, read_task, read_task_id
from ..errors import (
    AuthenticationError,
    JobCancelled,
    JobError,
    JobFailed,
    JobTimeout,
    MusicError,
    NotSent,
    RateLimited,
    SubmissionUnknown,
    SubscriptionRequired,
    TransportError,
)
from ..events import (
    Events,
    JobChanged,
    JobState,
    Purpose,
    RefusedRepeatedly,
    RequestAnswered,
    RequestRefused,
    RequestSent,
    logger,
)
from ..settings import Settings
from ..transport.http import HttpTransport
from ..transport.limiter import RateLimiter, Token
from .clock import Clock
from .durations import TaskKind
from .job import Job
from .retry import Again, Doubt, GiveUp, Repeat, after_failure, pause
from .schedule import EVERYTHING, Choice, Kind, Schedule

_RECOMMENDED_INTERVAL = {"sonic": 15.0}
_OTHER_INTERVAL = 5.0
_REPEAT_INTERVAL = 6.0
"""Seconds between the first two askings of an operation that has to be asked again until it is ready."""
_READY_WITHIN = 600.0
"""Seconds after which it is given up: such things take a minute."""


_REPEATEDLY = 3
"""Refusals for speed after which it is told that the limit does not fit."""
_POLLS = frozenset({Kind.POLL})


class Send(Protocol):
    """One request, ready to go; `on_sent` is called when its headers leave."""

    def __call__(self, *, on_sent: Callable[[], None]) -> Awaitable[Reply]:
        """Send it."""
        ...


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
        self._transport = transport
        self._limiter = limiter
        self._poll_limiter = poll_limiter
        self._clock = clock
        self._events = events
        self._settings = settings
        self._schedule: Schedule[Job[Any]] = Schedule()
        self._kinds: dict[Job[Any], Kind] = {}  # the jobs that have not ended, and as what they were queued
        self._tries: dict[Job[Any], int] = {}
        self._refusals = 0  # in a row
        self._incidents = 0  # since the session was opened
        self._outage = False
        self._news = asyncio.Event()
        self._closing = False
        self._posts: set[anyio.CancelScope] = set()  # under way, each shielded from cancelling
        self._quiet = asyncio.Event()
        self._paused_until = 0.0
        self._asked_since: dict[Job[Any], float] = {}  # when what has to be asked again was answered first

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
        self._schedule.attach(job, self._task_kind(job), now=self._clock.now(), interval=self._interval(job))
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
            for kept in (self._kinds, self._tries, self._asked_since):
                kept.pop(job, None)
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
            job._fail(error, _given_up(job))
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
                while self._posts:
                    self._quiet.clear()
                    await self._quiet.wait()
        except asyncio.CancelledError:
            for scope in self._posts:
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
            if self._transport.tells_when_sent:
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
                await self._poll(job, token, left)
            else:
                await self._send(job, token, left)
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
            job._fail(error, _given_up(job))

    # --- one request -----------------------------------------------------------------------------------------------

    async def _send(self, job: Job[Any], token: Token, left: asyncio.Event) -> None:
        """Send a submit or a call. It is never cancelled in mid-POST: what may be paid for must become known."""
        request = job.request
        assert request is not None
        job._move(JobState.SENDING)
        is_task = request.answer is Answer.TASK
        send = partial(self._transport.send, request)
        scope = anyio.CancelScope(shield=True)
        self._posts.add(scope)
        try:
            with scope:
                reply = await self._exchange(job, Purpose.SUBMIT if is_task else Purpose.CALL, send, token, left)
                job.raw = reply.body
                if is_task or (request.endpoint.may_be_task and "task_id" in reply.fields):
                    self._accepted(job, read_task_id(request, reply))
                else:
                    self._answered(job, read_now(request, reply))
        except MusicError as error:
            repeat = Repeat.NEVER if request.endpoint.method == "POST" else Repeat.FREE
            self._not_taken(job, error, Repeat.FREE if request.answer is Answer.REPEAT else repeat)
        finally:
            self._posts.discard(scope)
            self._quiet.set()

    def _accepted(self, job: Job[Any], task_id: str) -> None:
        assert job.request is not None
        self._went_well(job)
        job._take_id(task_id, cost=job.request.cost)
        if job._ending is not None:
            job._fail(job._ending, JobState.DETACHED)
            logger.warning("%s was given up while it was sent; the service has it as task %s", job.key, task_id)
        elif not job.done():  # a listener may have cancelled it
            kind, interval = self._task_kind(job), self._interval(job)
            self._schedule.watch(job, kind, now=self._clock.now(), interval=interval, timeout=job.timeout)

    def _answered(self, job: Job[Any], result: object | None) -> None:
        assert job.request is not None
        self._went_well(job)
        job.credits = job.request.cost
        job._start_timer()
        now = self._clock.now()
        waited = now - self._asked_since.setdefault(job, now)
        if result is not None:
            job._succeed(result)
        elif waited > min(_READY_WITHIN, self._settings.stuck_after):
            job._fail(JobTimeout(job, f"was still not ready after {waited:.0f} seconds"), JobState.DETACHED)
        else:
            self._requeue(job, max(_REPEAT_INTERVAL, waited / 10))

    def _requeue(self, job: Job[Any], seconds: float) -> None:
        if job._ending is not None:
            job._fail(job._ending, _given_up(job))
            return
        self._schedule.again(job, self._kinds[job], not_before=self._clock.now() + seconds)
        job._move(JobState.QUEUED)

    def _not_taken(self, job: Job[Any], error: MusicError, repeat: Repeat) -> None:
        """Decide what becomes of a job whose submit or call failed."""
        match self._verdict(job, error, repeat):
            case Again(delay=seconds):
                self._requeue(job, seconds)
            case Doubt():
                unknown = SubmissionUnknown(job, str(error))
                unknown.__cause__ = error
                job._fail(unknown, JobState.UNKNOWN)
            case GiveUp() if job._ending is not None:
                job._fail(job._ending, _given_up(job))
            case GiveUp():
                job._fail(error)
                if isinstance(error, AuthenticationError | SubscriptionRequired):
                    self._refuse_all(error)

    def _refuse_all(self, error: MusicError) -> None:
        """End what waits with the error of one: with this key, or without a subscription, all would be refused."""
        for job in self.open_jobs():
            if job.state is JobState.QUEUED:
                self._schedule.drop(job)
                job._fail(error)

    async def _poll(self, job: Job[Any], token: Token, left: asyncio.Event) -> None:
        assert job.task_id is not None
        path = job.operation.endpoint.task_path(job.task_id)
        try:
            reply = await self._exchange(job, Purpose.POLL, partial(self._transport.look, path), token, left)
            if job.done():  # given up while we looked
                return
            progress = read_task(job.operation, job.task_id, reply)
        except MusicError as error:
            if not job.done():
                self._not_looked(job, error)
        else:
            self._looked(job, progress)

    def _looked(self, job: Job[Any], progress: Progress[Any]) -> None:
        self._went_well(job)
        job.raw, job.clips = progress.raw, progress.clips
        now = self._clock.now()
        match progress.state:
            case TaskState.SUCCEEDED:
                self._schedule.finished(job, now)
                job._succeed(progress.result)
            case TaskState.FAILED:
                self._schedule.drop(job)
                if progress.refunded:
                    job.credits = 0
                job._fail(JobFailed(job, progress.reason, refunded=progress.refunded))
            case TaskState.RUNNING if self._schedule.age(job, now) > self._settings.stuck_after:
                self.abandon(job, JobTimeout(job, f"still runs after {self._settings.stuck_after:g} seconds"))
            case TaskState.RUNNING:
                self._schedule.looked(job, now)

    def _not_looked(self, job: Job[Any], error: MusicError) -> None:
        now = self._clock.now()
        match self._verdict(job, error, Repeat.POLL):
            case Again(delay=seconds) if self._schedule.age(job, now) <= self._settings.stuck_after:
                self._schedule.not_looked(job, not_before=now + seconds)
            case _:
                self._schedule.drop(job)
                job._fail(error, JobState.DETACHED)

    # --- what requests have in common --------------------------------------------------------------------------------

    async def _exchange(self, job: Job[Any], purpose: Purpose, send: Send, token: Token, left: asyncio.Event) -> Reply:
        """Send, tell the listeners, and give the token back when nothing left."""
        started = self._clock.now()

        def on_sent() -> None:
            token.spent()
            left.set()
            self._events.emit(RequestSent(purpose, job))

        if not self._transport.tells_when_sent:
            on_sent()
        try:
            reply = await send(on_sent=on_sent)
        except NotSent:
            token.give_back()
            raise
        except TransportError:
            self._events.emit(RequestAnswered(purpose, job, None, self._clock.now() - started))
            raise
        self._events.emit(RequestAnswered(purpose, job, reply.status, self._clock.now() - started))
        return reply

    def _went_well(self, job: Job[Any]) -> None:
        self._tries.pop(job, None)
        self._refusals = 0
        self._outage = False
        job._trouble = None

    def _verdict(self, job: Job[Any], error: MusicError, repeat: Repeat) -> Again | Doubt | GiveUp:
        """Count the failure, pause after a refusal, and say whether to send again."""
        tries = self._tries[job] = self._tries.get(job, 0) + 1
        verdict = after_failure(error, repeat, tries)
        if isinstance(error, RateLimited):
            self._pause(job, error)
        elif isinstance(verdict, Again):
            job._trouble = error
            if not self._outage:
                self._outage = True  # told once, until something goes well again
                logger.warning("%s: %s; it is tried again", job.key, error)
        return verdict

    def _pause(self, job: Job[Any], error: RateLimited) -> None:
        now = self._clock.now()
        new = now >= self._paused_until  # several refused at once are one incident
        self._refusals += new
        self._incidents += new
        seconds = pause(error.retry_after, self._refusals)
        self._paused_until = max(self._paused_until, now + seconds)
        for limiter in filter(None, (self._limiter, self._poll_limiter)):
            limiter.pause_until(self._clock.loop.time() + self._clock.real(seconds))
        self._events.emit(RequestRefused(job, seconds))
        if new and self._incidents == _REPEATEDLY:
            logger.warning(
                "the service refused requests %d times for coming too fast: is the plan's limit lower than the "
                "limiter's, or does another program use the same key?",
                self._incidents,
            )
            self._events.emit(RefusedRepeatedly(self._incidents))

    def _task_kind(self, job: Job[Any]) -> TaskKind:
        model = getattr(job.request, "mv", None)
        name = f"{job.operation.operation} {canonical(model)}" if isinstance(model, str) else job.operation.operation
        return TaskKind(name, job.operation.endpoint.typical)

    def _interval(self, job: Job[Any]) -> float:
        platform = job.operation.endpoint.platform
        return self._settings.poll_interval or _RECOMMENDED_INTERVAL.get(platform, _OTHER_INTERVAL)


def _given_up(job: Job[Any]) -> JobState:
    """Return the state of a job that is given up, but in mid-POST: was anything paid for it?"""
    return JobState.DETACHED if job.task_id or job.credits else JobState.CANCELLED


def _broken(job: Job[Any], error: Exception) -> MusicError:
    broken = MusicError(f"{job.key}: the session broke: {error!r}")
    broken.__cause__ = error
    return broken
