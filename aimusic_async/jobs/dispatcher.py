"""The one loop: it takes the next token, asks only then what it is worth most for, and carries out what follows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, assert_never

import anyio
import attrs

from ..callbacks import WebhookConfig
from ..clock import Clock
from ..contexts import Contexts, copy_of
from ..errors import JobCancelled, JobTimeout, MusicError
from ..events import Event, Events, JobState, logger
from ..home import Home
from ..journal.protocol import Outcome
from ..journal.record import JobRecord
from ..journal.steps import Begin, Enter, Step
from ..limiting.bucket import RateLimiter
from ..scheduling.schedule import Schedule
from ..settings import Settings
from ..slices import in_slices, see_through
from ..transport.http import HttpTransport
from . import happenings as on
from .exchange import Exchange
from .happenings import Do, Effect, OtherEffect
from .holds import Holds
from .inbox import Inbox, log_other, steps_of
from .job import Job
from .lanes import Lane
from .lifecycle import advance
from .link import JournalLink
from .reports import Reports, broken
from .roster import Roster
from .spending import Spending
from .unread import Ended, Unread
from .work import Moment, Rules, Work

_WEBHOOK_WITHIN = 600.0
"""Seconds for which a webhook is awaited when the answer to the POST was lost."""


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
        callback: WebhookConfig | None = None,
        link: JournalLink | None = None,
        home: Home | None = None,
    ) -> None:
        self.home: Home = home or Home()
        """The loop, thread and process to which the session belongs."""
        self.unread: Unread = Unread()
        """What ended and nobody asked for."""
        self._contexts = Contexts()
        self._clock = clock
        self._reports = Reports(events)
        self._link = link
        self.rules: Rules = Rules(
            owner=link.owner if link is not None else "",
            account=link.account if link is not None else "",
            journalled=link is not None,
            stuck_after=settings.stuck_after,
            speed=settings.speed,
            prices=settings.prices,
        )
        self._schedule: Schedule[Work] = Schedule(link.durations if link is not None else None)
        self._works: dict[Any, Work] = {}  # what has not ended
        self._roster = Roster()
        self._closing = False
        self._quiet = asyncio.Event()
        self.started: asyncio.Event = asyncio.Event()
        """Set once `run` runs."""
        self._group = asyncio.TaskGroup()
        self._inbox = Inbox(callback) if callback is not None else None
        self._spending = Spending(
            self,
            self._schedule,
            Exchange(transport, clock, events),
            clock,
            limiter,
            poll_limiter=poll_limiter,
            inbox=self._inbox,
            interval=settings.poll_interval,
        )
        self._doing = self._doings()
        limiters = [lane.limiter for lane in self._spending.lanes]
        self._holds = Holds(self, self._schedule, limiters, clock, events, outage=self._spending.outage)

    # --- what jobs and sessions call -----------------------------------------------------------------------------

    def submit(self, work: Work, record: JobRecord | None = None) -> None:
        """Take in a job that is to be sent, or of which the journal has a `record`."""
        if self._take_in(work):
            self._enter(work, record)

    def attach(self, work: Work) -> None:
        """Take in a job that the service has already: under the record of its task, if the journal has one."""
        if self._take_in(work):
            if self._link is None or work.id is None:
                self.happen(work, on.Submitted())
            else:
                self._group.create_task(self._look_up(work, self._link))

    async def _look_up(self, work: Work, link: JournalLink) -> None:
        record = await link.look_up(work)
        if record is not None and not work.done:
            work.key, work.order = record.key, attrs.evolve(work.order, group=record.group)
        if not work.done:
            self._enter(work, record)

    def _take_in(self, work: Work) -> bool:
        """Tell of a new job; return whether it is still to be done: a listener may have cancelled it."""
        if self._closing:
            raise MusicError("the session is closing, or broke: nothing more can be submitted")
        self._works[work.job] = work
        if (context := self._contexts.current()) is not None:
            work.context = context
        self._reports.entered(work)
        return not work.done

    def give_up(self, job: Job[Any], error: MusicError, *, released: bool = False) -> None:
        """See `job.Giver.give_up`."""
        if (work := self._works.get(job)) is not None:
            self.happen_for(work, on.GivenUp(error, released))

    def read(self, work: Work) -> Ended | None:
        """See `job.Giver.read`."""
        return self.unread.read(work)

    async def deliver(self, delivery: on.Delivery, job_id: str | None) -> bool:
        """Take a genuine delivery of a webhook; `job_id` is the job whose secret signed it.

        Returns True once what follows from it is in the journal; False when nobody could take it.
        """
        self.home.check()
        if self._inbox is None or self._closing:
            return False
        work = self._inbox.find(delivery, job_id)
        record_id = work.id if work is not None else job_id
        if work is not None:
            self.happen_for(work, on.Delivered(delivery))
        elif self._link is None or job_id is None or delivery.task_id is None:
            logger.warning("a webhook reports task %.80r, for which no job waits here", delivery.task_id)
            return True
        else:
            for step in steps_of(delivery, job_id):
                self._link.queue.append(step, partial(log_other, delivery.task_id))
        return self._link is None or record_id is None or await self._link.stored(record_id)

    async def written(self) -> None:
        """See `JournalLink.written`."""
        self.home.check()
        if self._link is not None:
            await self._link.written()

    def knows(self, record: JobRecord) -> bool:
        """Whether a job of this session that has not ended has this record."""
        return any(work.id == record.id for work in self._roster.concerned((record.group, record.key)))

    def open_jobs(self) -> tuple[Job[Any], ...]:
        """Return the jobs that have not ended."""
        return tuple(self._works)

    @property
    def works(self) -> Collection[Work]:
        """What has not ended."""
        return self._works.values()

    @property
    def posting(self) -> bool:
        """Whether a POST is under way."""
        return bool(self._spending.posts)

    def wake(self) -> None:
        """Say that there is something new in the schedule."""
        self._spending.wake()

    def quiet(self) -> None:
        """Note that no POST is under way."""
        self._quiet.set()
        self._holds.give_up_waiting()

    def now(self) -> float:
        """Return the time, on the service's clock."""
        return self._clock.now()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Call back after so many seconds of the service."""
        return self._clock.call_later(seconds, callback)

    async def close(self) -> None:
        """Send nothing more, give up the open jobs, and wait for the POSTs that are under way (their ids are kept).

        A cancelled anyio scope around it does not disturb that; cancelling the task once more ends the wait.
        """
        self._closing = self._spending.stopped = True
        with anyio.CancelScope(shield=True):
            await see_through(in_slices(tuple(self._works.values()), self._release))
            await self._finish_posts()
            if self._link is not None:
                await self._link.close()

    def _release(self, work: Work) -> None:
        self.happen_for(work, on.GivenUp(JobCancelled(work.job), released=True))

    async def _finish_posts(self) -> None:
        while self._spending.posts:
            self._quiet.clear()
            await self._quiet.wait()

    # --- what happens, and what follows --------------------------------------------------------------------------

    def happen_for(self, work: Work, event: on.Event) -> None:
        """Let an event happen to a job that comes from elsewhere, in the contextvars of who submitted the job."""
        copy_of(work.context).run(self.happen, work, event)

    def happen(self, work: Work, event: on.Event) -> None:
        """Let an event happen to a job, and carry out what follows. The listeners hear of it when all is done."""
        now = self._clock.now()
        said: list[Event] = []
        try:
            effects = advance(work, event, now)
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not take the other jobs along
            effects = self._broken(work, error)
        try:
            for effect in effects:
                if isinstance(effect, Do):
                    self._doing[effect](work, now, said)
                else:
                    self._carry_out(work, effect, now)
        except Exception as error:  # noqa: BLE001 - as above
            self._clock.loop.call_soon(self.broke, work, error)
            if work.done:
                self._end(work, now, said)
        if work in self._spending.grants and work.state is not JobState.SENDING:
            self._spending.grants.pop(work).give_back()
        self._reports.emit(said)

    def _broken(self, work: Work, error: Exception) -> list[Effect]:
        logger.error("%s broke", work.key, exc_info=error)
        try:
            return advance(work, on.Broke(broken(work, error)), self._clock.now())
        except Exception as again:  # noqa: BLE001 - whatever it is, who waits is woken
            work.state, work.error = JobState.DETACHED, broken(work, again)
            return [Do.END]

    def broke(self, work: Work, error: Exception) -> None:
        """End a job that met a mistake of ours."""
        logger.error("%s broke", work.key, exc_info=error)
        self.happen_for(work, on.Broke(broken(work, error)))

    def _carry_out(self, work: Work, effect: OtherEffect, now: float) -> None:
        match effect:
            case on.Put(step=step):
                assert self._link is not None
                answered = partial(self._stored, work, step) if isinstance(step, Enter | Begin) else None
                self._link.queue.append(step, answered)
            case on.Queue(delay=seconds):
                self._spending.queue(work, seconds, now)
            case on.Watch(age=age, exact=exact):
                self._spending.watch(work, age, now, exact=exact)
            case on.PollAt(moment=moment):
                self._schedule.not_polled(work, not_before=moment)
                self.wake()
            case on.Credited(credits=credits):
                self._holds.credited(credits)
            case on.Report(error=error):
                self._holds.report(work, error)
            case on.Say(text=text):
                logger.warning("%s", text)
            case _:
                assert_never(effect)

    def _doings(self) -> dict[Do, Callable[[Work, float, list[Event]], object]]:
        """Return what each effect does that needs nothing more."""
        schedule = self._schedule
        return {
            Do.CHANGED: lambda work, _, said: None if work.done else self._reports.changed(work, said),
            Do.STREAMS: lambda work, _, said: self._reports.streams(work, said),
            Do.END: self._end,
            Do.WENT_WELL: lambda _work, _, _said: self._holds.went_well(),
            Do.SEND: lambda work, _, _said: self._spending.send(work),
            Do.RAN: lambda work, now, _: schedule.polled(work, now),
            Do.FINISHED: lambda work, now, _: schedule.finished(work, now),
            Do.FINISHED_NOW: lambda work, now, _: schedule.finished(work, now, just_now=True),
            Do.RECORDED: lambda work, _, _said: work.wake(Moment.RECORDED),
            Do.KNOWN: lambda work, _, _said: self._know(work),
            Do.START_TIMER: lambda work, _, _said: self._start_timer(work),
            Do.AWAIT: lambda work, _, _said: self._clock.call_later(
                _WEBHOOK_WITHIN, partial(self._run_out, work, work.awaiting)
            ),
            Do.WITHDRAW: lambda work, _, _said: schedule.drop(work),
            Do.REENTER: lambda work, _, _said: self._enter(work),
        }

    def _know(self, work: Work) -> None:
        if self._inbox is not None:
            self._inbox.know(work)
        work.wake(Moment.ACCEPTED)

    def _start_timer(self, work: Work) -> None:
        if work.timeout is not None and work.timer is None:
            work.timer = self._clock.call_later(work.timeout, partial(self._run_out, work))

    def _run_out(self, work: Work, awaiting: MusicError | None = None) -> None:
        if not work.done and (awaiting is None or work.awaiting is awaiting):
            self.happen_for(work, on.GivenUp(JobTimeout(work.job)))

    def _end(self, work: Work, _now: float, said: list[Event]) -> None:
        self._works.pop(work.job, None)
        try:
            self._reports.changed(work, said)
            self.unread.note(work)
            if work.error is not None:  # raised anew for everybody who asks: it need not keep our frames
                work.error.__traceback__ = work.error.__context__ = None
            self._schedule.drop(work)
            if work.id is not None:
                self._roster.leave(work)
            if work.timer is not None:
                work.timer.cancel()
            if self._inbox is not None:
                self._inbox.forget(work)
            if self._link is not None:
                self._link.finished += work.state is JobState.SUCCEEDED
        finally:
            work.wake(Moment.ENDED)
        watcher, work.watcher = work.watcher, None
        if watcher is not None:
            watcher(work.job)
        self._holds.give_up_waiting()

    # --- the journal -------------------------------------------------------------------------------------------------

    def _enter(self, work: Work, record: JobRecord | None = None) -> None:
        """Ask the journal about a job, unless another of the same key is at work here."""
        other = self._roster.claim(work) if work.id is not None else None
        if other is None:
            self.happen(work, on.Submitted(record))
            return
        conflict = None not in (work.request, other.request) and work.request != other.request
        self.happen(work, on.Taken(other.new_record().request if conflict else None, other.recorded))

    def _stored(self, work: Work, step: Step, outcome: Outcome) -> None:
        self._spending.answered(work)
        self.happen_for(work, on.Stored(step, outcome))
        self._roster.placed(work)

    def _listening(self) -> bool:
        for work in self._roster.followers():
            copy_of(work.context).run(self._enter, work)
        return bool(self._roster) or self._inbox is not None

    def _changed(self, record: JobRecord) -> None:
        for work in self._roster.concerned((record.group, record.key)):
            self.happen_for(work, on.Heard(record))

    # --- the loop --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Spend tokens until cancelled, which breaks off whatever is under way.

        If it breaks by itself, POSTs under way are finished, and every other open job ends with the error.
        """
        try:
            # Not anyio's: here a task is made for each request, and anyio's tasks cost more.
            async with self._group:
                self.started.set()
                if self._link is not None:
                    self._group.create_task(self._link.run(self._listening, self._changed))
                for lane in self._spending.lanes:
                    self._group.create_task(self._spend(lane))
        finally:
            # None are left, but when the loop was cancelled.
            await self._break_all(lambda work: JobCancelled(work.job))

    async def _spend(self, lane: Lane) -> None:
        try:
            await self._spending.spend(lane, self._group)
        except Exception as error:
            self._closing = self._spending.stopped = True
            await self._finish_posts()  # the error, once it is out of here, cancels every other task
            await self._break_all(partial(broken, error=error))
            raise

    async def _break_all(self, error_for: Callable[[Work], MusicError]) -> None:
        self._closing = self._spending.stopped = True
        works = tuple(self._works.values())
        await see_through(in_slices(works, lambda work: self.happen_for(work, on.Broke(error_for(work)))))
