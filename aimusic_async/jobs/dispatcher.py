"""The one loop that spends tokens: it takes the next one, and only then asks the schedule what it is worth most for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from ..callbacks import WebhookConfig
from ..clock import Clock
from ..errors import JobCancelled, JobError, MusicError, SubmissionUnknown
from ..events import Events, JobChanged, JobState, logger
from ..journal.protocol import JobJournal
from ..journal.record import JobRecord
from ..limiting.bucket import RateLimiter, Token
from ..scheduling.schedule import EVERYTHING, Choice, Kind, Schedule
from ..settings import Settings
from ..transport.http import HttpTransport
from .budget import Budget
from .intake import Intake, Order
from .job import Job
from .mailbox import Delivery, Mailbox
from .requests import Requests

if TYPE_CHECKING:
    from .keeper import Keeper

_POLLS = frozenset({Kind.POLL})


@attrs.define(eq=False)
class _Lane:
    """One limiter, and what its tokens are spent on."""

    limiter: RateLimiter
    kinds: frozenset[Kind]
    idle: bool = False
    """Whether its loop waits until something is due."""
    left: asyncio.Event | None = None
    """Set when the request that was started last has left: only then is it known from when the next period counts."""

    def token_now(self) -> Token | None:
        """Return a token if the loop sleeps and would get one without waiting; None also if the limiter cannot tell."""
        if not self.idle or (self.left is not None and not self.left.is_set()):
            return None
        acquire_now: Callable[[], Token | None] | None = getattr(self.limiter, "acquire_now", None)
        try:
            return acquire_now() if acquire_now is not None else None
        except Exception as error:  # noqa: BLE001 - a limiter of the user's own may raise anything
            logger.warning("the limiter failed: %r", error)
            return None


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
        budget: Budget | None = None,
        callback: WebhookConfig | None = None,
    ) -> None:
        self._clock = clock
        self._events = events
        self._schedule: Schedule[Job[Any]] = Schedule()
        self._kinds: dict[Job[Any], Kind] = {}  # the jobs that have not ended, and as what they were queued
        self._group = asyncio.TaskGroup()
        self._lane = _Lane(limiter, EVERYTHING if poll_limiter is None else EVERYTHING - _POLLS)
        self._lanes = [self._lane] if poll_limiter is None else [self._lane, _Lane(poll_limiter, _POLLS)]
        self._requests = Requests(
            transport,
            [lane.limiter for lane in self._lanes],
            clock,
            events,
            settings,
            schedule=self._schedule,
            kinds=self._kinds,
            wake=self.queued,
        )
        self._intake = Intake(self, self._schedule, self._requests, clock, budget)
        self._keeper: Keeper | None = None
        self._mailbox: Mailbox | None = None
        if callback is not None:
            self._mailbox = Mailbox(callback, self._requests, clock)
            self._intake.mailbox = self._requests.mailbox = self._mailbox
        self._news = asyncio.Event()
        self._closing = False

    async def keep(self, journal: JobJournal, account: str) -> None:
        """Write down in a journal what happens to the jobs; call it before anything else. Raises `JournalError`."""
        from .keeper import Keeper  # noqa: PLC0415 - loads every operation, which only a journal needs

        keeper = Keeper(journal, account, self._intake, self._schedule)
        await keeper.open()
        self._keeper = self._intake.keeper = self._requests.keeper = keeper
        if self._mailbox is not None:
            self._mailbox.keeper, keeper.others_tell = keeper, True

    # --- what jobs and sessions call -----------------------------------------------------------------------------

    def submit(self, job: Job[Any], order: Order) -> None:
        """Take in a job that is to be sent."""
        if self._take_in(job, order.kind):
            self._intake.submit(job, order)

    def attach(self, job: Job[Any]) -> None:
        """Take in a job that the service has already."""
        if self._take_in(job, Kind.SUBMIT):
            job._start_timer()
            self._intake.attach(job)

    def resume(self, job: Job[Any], record: JobRecord) -> None:
        """Take in a job that the journal knows."""
        if self._take_in(job, Kind.SUBMIT):
            self._intake.resume(job, record)

    def deliver(self, delivery: Delivery, job_id: str | None) -> bool:
        """Take a genuine delivery of a webhook; `job_id` is the job whose secret signed it. False: it is too late."""
        if self._mailbox is None or self._closing:
            return False
        self._mailbox.put(delivery, job_id)
        self._news.set()
        return True

    async def written(self) -> None:
        """Wait until the journal knows everything that happened so far."""
        if self._keeper is not None:
            await self._keeper.written()

    def known(self) -> set[str]:
        """Return the ids of the journal's records of the jobs of this session that have not ended."""
        return self._keeper.known() if self._keeper is not None else set()

    def _take_in(self, job: Job[Any], kind: Kind) -> bool:
        """Tell of a new job; say whether it is still to be done: a listener may have cancelled it."""
        self._check_running()
        self._kinds[job] = kind
        self.changed(job)
        return not job.done()

    def queued(self) -> None:
        """See `Loop.queued`."""
        self._news.set()

    def start_now(self, job: Job[Any]) -> bool:
        """See `Loop.start_now`: as long as there is nothing to weigh it against, the loop need not be woken for it."""
        token = self._lane.token_now() if not self._schedule else None
        if token is not None:
            self._start(Choice(Kind.CALL, job), self._lane, token)
        return token is not None

    def _check_running(self) -> None:
        if self._closing:
            raise MusicError("the session is closing, or broke: nothing more can be submitted")

    def open_jobs(self) -> tuple[Job[Any], ...]:
        """Return the jobs that have not ended."""
        return tuple(self._kinds)

    def changed(self, job: Job[Any]) -> None:
        """See `Desk.changed`."""
        if job.state is JobState.SUBMITTED and self._mailbox is not None:
            self._mailbox.know(job)
        if job.done():
            self._kinds.pop(job, None)
            self._intake.ended(job)
            self._requests.forget(job)
        self._events.emit(JobChanged(job, job.state))

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """See `Desk.call_later`."""
        return self._clock.call_later(seconds, callback)

    def abandon(self, job: Job[Any], error: JobError) -> None:
        """See `Desk.abandon`."""
        if self._mailbox is not None and self._mailbox.give_up(job):
            return
        if job.state is JobState.SENDING:
            job._ending = job._ending or error
        else:
            self._schedule.drop(job)
            job._give_up(error)
            self._news.set()

    async def close(self) -> None:
        """Send nothing more, give up the open jobs, and wait for the POSTs that are under way (their ids are kept).

        A cancelled anyio scope around it does not disturb that; cancelling the task once more ends the wait.
        """
        self._closing = True
        for job in self.open_jobs():
            job._leave()
        with anyio.CancelScope(shield=True):
            await self._finish_posts()
            if self._keeper is not None:
                await self._keeper.close()

    async def _finish_posts(self) -> None:
        while self._requests.posts:
            self._requests.quiet.clear()
            await self._requests.quiet.wait()

    # --- the loop --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Spend tokens until cancelled, which breaks off whatever is under way.

        If it breaks by itself, POSTs under way are finished, and every other open job ends with the error.
        """
        try:
            # Not anyio's: here a task is made for each request, and anyio's tasks cost more.
            async with self._group:
                if self._keeper is not None:
                    self._group.create_task(self._keeper.run())
                for lane in self._lanes:
                    self._group.create_task(self._spend(lane))
        finally:
            self._give_up(JobCancelled)  # none are left, but when the whole loop was cancelled

    async def _spend(self, lane: _Lane) -> None:
        """Spend the tokens of one limiter, for ever."""
        try:
            while True:
                await self._until_due(lane)
                if lane.left is not None:
                    await lane.left.wait()
                token = await lane.limiter.acquire()
                # The token is bound only here: what was best when the waiting began may not be any more.
                choice = None if self._closing else self._schedule.take(self._clock.now(), lane.kinds)
                if choice is None:
                    token.give_back()
                else:
                    self._start(choice, lane, token)
        except Exception as error:
            self._closing = True
            await self._finish_posts()  # the error, once it is out of here, cancels every other task
            self._give_up(partial(_broken, error=error))
            raise

    def _start(self, choice: Choice[Job[Any]], lane: _Lane, token: Token) -> None:
        lane.left = asyncio.Event()
        self._group.create_task(self._perform(choice, token, lane.left))

    def _give_up(self, error_for: Callable[[Job[Any]], MusicError]) -> None:
        self._closing = True
        for job in self.open_jobs():
            job._left = True
            self._break_off(job, error_for(job))

    async def _until_due(self, lane: _Lane) -> None:
        while True:
            self._news.clear()
            now = self._clock.now()
            due = None if self._closing else self._schedule.due_at(now, lane.kinds)
            if due is not None and due <= now:
                return
            seconds = None if due is None else max(self._clock.real(due - now), 0.001)  # a shorter wait would spin
            lane.idle = True
            try:
                with anyio.move_on_after(seconds):
                    await self._news.wait()
            finally:
                lane.idle = False

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
            if self._schedule:
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
