"""The one loop: it takes the next token, asks only then what it is worth most for, and carries out what follows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any, assert_never

import anyio
import attrs

from ..api.models import canonical
from ..callbacks import WebhookConfig
from ..clock import Clock
from ..errors import (
    AuthenticationError,
    InsufficientCredits,
    JobCancelled,
    JobTimeout,
    MusicError,
    RateLimited,
    SubscriptionRequired,
)
from ..events import CreditsShort, Event, Events, JobChanged, JobState, JobStreaming, logger
from ..journal.protocol import Outcome
from ..journal.record import JobRecord
from ..journal.steps import Begin, Enter, Step
from ..limiting.bucket import RateLimiter, Token
from ..scheduling.credit_hold import TRY_AGAIN, CreditHold
from ..scheduling.durations import TaskKind
from ..scheduling.schedule import EVERYTHING, Choice, Kind, Schedule
from ..settings import Settings
from ..transport.http import HttpTransport
from . import happenings as on
from .exchange import Exchange
from .happenings import Do, Effect, Sign
from .inbox import Inbox, steps_of
from .job import Job
from .lifecycle import advance
from .link import JournalLink
from .work import Moment, Rules, Where, Work

_POLLS = frozenset({Kind.POLL})
_RECOMMENDED_INTERVAL = {"sonic": 15.0}
_OTHER_INTERVAL = 5.0
_GRACE = 40.0
"""Seconds that a webhook has after its task is overdue: by then the service has tried again as often as it does."""
_RARELY = 60.0
"""Seconds between polls of a task of which a webhook should have reported by then."""
_WEBHOOK_WITHIN = 600.0
"""Seconds for which a webhook is awaited when the answer to the POST was lost."""
_STORED_WITHIN = 5.0
"""Seconds that the door of a webhook waits for the journal."""
_LEAST_FRESH = 0.25
"""Seconds, at least, for which a token may wait for the journal; else its period."""
_AT_ONCE = 500


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


@attrs.frozen(eq=False)
class _Grant:
    """A token for a submit or a call that the journal is still asked about."""

    token: Token
    left: asyncio.Event

    def give_back(self) -> None:
        """Let others have it."""
        if not self.left.is_set():
            self.token.give_back()
            self.left.set()


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
    ) -> None:
        self._clock = clock
        self._events = events
        self._interval = settings.poll_interval
        self._link = link
        self.rules: Rules = Rules(
            owner=link.owner if link is not None else "",
            account=link.account if link is not None else "",
            journalled=link is not None,
            stuck_after=settings.stuck_after,
            speed=settings.speed,
        )
        self._schedule: Schedule[Work] = Schedule(link.durations if link is not None else None)
        # All that changes here: the jobs that have not ended, who works on which key, and the tokens that wait.
        self._works: dict[Any, Work] = {}
        self._here: dict[tuple[str, str], Work] = {}
        self._elsewhere: dict[tuple[str, str], list[Work]] = {}
        self._grants: dict[Work, _Grant] = {}
        self._posts: set[Work] = set()
        self._closing = False
        self._hold = CreditHold()
        self._retrial: asyncio.TimerHandle | None = None
        self._news = asyncio.Event()
        self._quiet = asyncio.Event()
        self.started: asyncio.Event = asyncio.Event()
        """Set once `run` runs."""
        self._group = asyncio.TaskGroup()
        self._lane = _Lane(limiter, EVERYTHING if poll_limiter is None else EVERYTHING - _POLLS)
        self._lanes = [self._lane] if poll_limiter is None else [self._lane, _Lane(poll_limiter, _POLLS)]
        self._exchange = Exchange(transport, [lane.limiter for lane in self._lanes], clock, events)
        self._inbox = Inbox(callback) if callback is not None else None

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
        found = None
        while found is None and not work.done:
            try:
                found = await link.journal.find(link.account, task_id=work.task_id, limit=1)
            except Exception as error:  # noqa: BLE001 - a journal of the user's own may raise anything
                logger.warning("%s waits for the journal: %r", work.key, error)
                await anyio.sleep(1.0)
        if found and not work.done:
            work.key, work.order = found[0].key, attrs.evolve(work.order, group=found[0].group)
        if not work.done:
            self._enter(work, found[0] if found else None)

    def _take_in(self, work: Work) -> bool:
        """Tell of a new job; return whether it is still to be done: a listener may have cancelled it."""
        if self._closing:
            raise MusicError("the session is closing, or broke: nothing more can be submitted")
        self._works[work.job] = work
        self._events.emit(JobChanged(work.job, work.state))
        return not work.done

    def give_up(self, job: Job[Any], error: MusicError, *, released: bool = False) -> None:
        """See `job.Giver.give_up`."""
        if (work := self._works.get(job)) is not None:
            self.happen(work, on.GivenUp(error, released))

    async def deliver(self, delivery: on.Delivery, job_id: str | None) -> bool:
        """Take a genuine delivery of a webhook; `job_id` is the job whose secret signed it.

        Returns True once what follows from it is in the journal; False when nobody could take it.
        """
        if self._inbox is None or self._closing:
            return False
        work = self._inbox.find(delivery, job_id)
        record_id = work.id if work is not None else job_id
        if work is not None:
            self.happen(work, on.Delivered(delivery))
        elif self._link is None or job_id is None or delivery.task_id is None:
            logger.warning("a webhook reports task %.80r, for which no job waits here", delivery.task_id)
            return True
        else:
            for step in steps_of(delivery, job_id):
                self._link.queue.append(step)
        if self._link is None or record_id is None:
            return True
        with anyio.move_on_after(_STORED_WITHIN):
            await self._link.queue.stored(record_id)
            return True
        return False

    async def written(self) -> None:
        """Wait until the journal knows everything that happened so far."""
        if self._link is not None:
            await self._link.queue.stored()

    def known(self) -> set[str]:
        """Return the ids of the journal's records of the jobs of this session that have not ended."""
        return {work.id for work in self._works.values() if work.id is not None}

    def open_jobs(self) -> tuple[Job[Any], ...]:
        """Return the jobs that have not ended."""
        return tuple(self._works)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Call back after so many seconds of the service."""
        return self._clock.call_later(seconds, callback)

    async def close(self) -> None:
        """Send nothing more, give up the open jobs, and wait for the POSTs that are under way (their ids are kept).

        A cancelled anyio scope around it does not disturb that; cancelling the task once more ends the wait.
        """
        self._closing = True
        with anyio.CancelScope(shield=True):
            for number, work in enumerate(tuple(self._works.values())):
                self.happen(work, on.GivenUp(JobCancelled(work.job), released=True))
                if number % _AT_ONCE == _AT_ONCE - 1:
                    await asyncio.sleep(0)
            await self._finish_posts()
            if self._link is not None:
                await self._link.close()

    async def _finish_posts(self) -> None:
        while self._posts:
            self._quiet.clear()
            await self._quiet.wait()

    # --- what happens, and what follows --------------------------------------------------------------------------

    def happen(self, work: Work, event: on.Event) -> None:
        """Let an event happen to a job, and carry out what follows. The listeners hear of it when all is done."""
        try:
            effects = advance(work, event, self._clock.now())
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not take the other jobs along
            effects = self._broken(work, error)
        said: list[Event] = []
        for effect in effects:
            try:
                self._carry_out(work, effect, said)
            except Exception as error:  # noqa: BLE001 - as above
                self._clock.loop.call_soon(self._broke, work, error)
        if work in self._grants and work.state is not JobState.SENDING:
            self._grants.pop(work).give_back()
        for each in said:
            self._events.emit(each)

    def _broken(self, work: Work, error: Exception) -> list[Effect]:
        """End a job that met a mistake of ours; it must not take the others along."""
        logger.error("%s broke", work.key, exc_info=error)
        try:
            return advance(work, on.Broke(_broken(work, error)), self._clock.now())
        except Exception as again:  # noqa: BLE001 - whatever it is, who waits is woken
            work.state, work.error = JobState.DETACHED, _broken(work, again)
            return [Do.END]

    def _carry_out(self, work: Work, effect: Effect, said: list[Event]) -> None:
        now = self._clock.now()
        match effect:
            case Do():
                self._do(work, effect, now, said)
            case on.Put(step=step):
                assert self._link is not None
                answered = partial(self._stored, work, step) if isinstance(step, Enter | Begin) else None
                self._link.queue.append(step, answered)
            case on.Queue(delay=seconds):
                kind = Kind.CALL if work.order.direct else Kind.SUBMIT
                if seconds is not None:
                    self._schedule.again(work, kind, not_before=now + seconds)
                elif not (work.order.direct and self._start_now(work)):
                    self._schedule.add(work, kind, now=now, priority=work.order.priority)
                self._news.set()
            case on.Watch(age=age):
                self._watch(work, age, now)
            case on.PollAt(moment=moment):
                self._schedule.not_looked(work, not_before=moment)
                self._news.set()
            case on.Credited(credits=credits):
                if self._hold.lifts(credits):
                    self._send_again()
            case on.Report(error=error):
                self._report(work, error)
            case on.Say(text=text):
                logger.warning("%s", text)
            case _:
                assert_never(effect)

    def _do(self, work: Work, effect: Do, now: float, said: list[Event]) -> None:
        match effect:
            case Do.CHANGED:
                said.append(JobChanged(work.job, work.state))
            case Do.STREAMS:
                said.append(JobStreaming(work.job, work.streaming_url or ""))
            case Do.END:
                said.append(JobChanged(work.job, work.state))
                self._end(work)
            case Do.WENT_WELL:
                self._exchange.went_well()
            case Do.SEND:
                self._send(work)
            case Do.RAN:
                self._schedule.looked(work, now)
            case Do.FINISHED | Do.FINISHED_NOW:
                self._schedule.finished(work, now, just_now=effect is Do.FINISHED_NOW)
            case Do.RECORDED:
                work.wake(Moment.RECORDED)
            case Do.KNOWN:
                if self._inbox is not None:
                    self._inbox.know(work)
                work.wake(Moment.ACCEPTED)
            case Do.START_TIMER:
                if work.timeout is not None and work.timer is None:
                    work.timer = self._clock.call_later(work.timeout, partial(self._run_out, work))
            case Do.AWAIT:
                self._clock.call_later(_WEBHOOK_WITHIN, partial(self._run_out, work))
            case Do.WITHDRAW:
                self._schedule.drop(work)
            case Do.REENTER:
                self._enter(work)

    def _run_out(self, work: Work) -> None:
        if not work.done:
            self.happen(work, on.GivenUp(JobTimeout(work.job)))

    def _end(self, work: Work) -> None:
        self._works.pop(work.job, None)
        try:
            self._schedule.drop(work)
            self._leave(work)
            if work.timer is not None:
                work.timer.cancel()
            if self._inbox is not None:
                self._inbox.forget(work)
            if self._link is not None:
                self._link.finished += work.state is JobState.SUCCEEDED
        finally:
            work.wake(*Moment)
        watcher, work.watcher = work.watcher, None
        if watcher is not None:
            watcher(work.job)
        self._give_up_waiting()

    # --- the journal -------------------------------------------------------------------------------------------------

    def _enter(self, work: Work, record: JobRecord | None = None) -> None:
        """Ask the journal about a job, unless another of the same key is at work here."""
        if work.id is None:
            self.happen(work, on.Submitted())
            return
        self._leave(work)
        other = self._here.setdefault(work.identity, work)
        if other is work:
            self.happen(work, on.Submitted(record))
            return
        self._elsewhere.setdefault(work.identity, []).append(work)
        conflict = None not in (work.request, other.request) and work.request != other.request
        self.happen(work, on.Taken(other.new_record().request if conflict else None))

    def _leave(self, work: Work) -> None:
        if self._here.get(work.identity) is work:
            del self._here[work.identity]
        if work in (waiting := self._elsewhere.get(work.identity, [])):
            waiting.remove(work)
            if not waiting:
                del self._elsewhere[work.identity]

    def _stored(self, work: Work, step: Step, outcome: Outcome) -> None:
        self.happen(work, on.Stored(step, outcome))
        if work.where is Where.ELSEWHERE and not work.done and self._here.get(work.identity) is work:
            del self._here[work.identity]
            self._elsewhere.setdefault(work.identity, []).append(work)

    def _listening(self) -> bool:
        """Whether others may know more of the jobs of this session; ask the journal about those that they work on."""
        for identity in tuple(islice(self._elsewhere, _AT_ONCE)):  # who was asked about goes to the end
            self._elsewhere[identity] = self._elsewhere.pop(identity)
            for work in tuple(self._elsewhere[identity]):
                self._enter(work)
        return bool(self._elsewhere) or self._inbox is not None

    def _changed(self, record: JobRecord) -> None:
        identity = (record.group, record.key)
        here = self._here.get(identity)
        for work in [*([here] if here is not None else []), *self._elsewhere.get(identity, ())]:
            self.happen(work, on.Heard(record))

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
                for lane in self._lanes:
                    self._group.create_task(self._spend(lane))
        finally:
            self._break_all(lambda work: JobCancelled(work.job))  # none are left, but when the loop was cancelled

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
            self._break_all(partial(_broken, error=error))
            raise

    def _break_all(self, error_for: Callable[[Work], MusicError]) -> None:
        self._closing = True
        for work in tuple(self._works.values()):
            self.happen(work, on.Broke(error_for(work)))

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

    def _start_now(self, work: Work) -> bool:
        """Send a direct call at once; while there is nothing to weigh it against, the loop need not be woken for it."""
        token = self._lane.token_now() if not self._schedule else None
        if token is not None:
            self._start(Choice(Kind.CALL, work), self._lane, token)
        return token is not None

    def _start(self, choice: Choice[Work], lane: _Lane, token: Token) -> None:
        work, left = choice.job, asyncio.Event()
        lane.left = left
        if work.done:  # given up since it was chosen, an instant ago
            _Grant(token, left).give_back()
        elif choice.kind is Kind.POLL:
            self._group.create_task(self._poll(work, token, left))
        else:
            self._grants[work] = _Grant(token, left)
            self.happen(work, Sign.GRANTED)
            if work in self._grants:
                fresh = max(float(getattr(lane.limiter, "period", 3.0)), _LEAST_FRESH)
                self._clock.loop.call_later(fresh, self._grow_stale, work, self._grants[work])

    def _grow_stale(self, work: Work, grant: _Grant) -> None:
        """Let others have a token that waited for the journal for too long."""
        if self._grants.get(work) is grant:
            del self._grants[work]
            grant.give_back()

    def _send(self, work: Work) -> None:
        if (grant := self._grants.pop(work, None)) is None:
            self._clock.loop.call_soon(self.happen, work, Sign.STALE)
        else:
            self._posts.add(work)
            self._group.create_task(self._submit(work, grant))

    async def _submit(self, work: Work, grant: _Grant) -> None:
        if self._inbox is not None:
            work.hooked = self._inbox.expect(work)
        more = self._inbox.fields(work) if self._inbox is not None else {}
        departed = partial(self.happen, work, Sign.DEPARTED)
        try:
            self.happen(work, await self._exchange.send(work, more, grant.token, grant.left, departed))
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not take the other jobs along
            self._broke(work, error)
        finally:
            self._posts.discard(work)
            self._quiet.set()
            self._give_up_waiting()
            self._over(grant.left)

    async def _poll(self, work: Work, token: Token, left: asyncio.Event) -> None:
        try:
            self.happen(work, await self._exchange.poll(work, token, left))
        except Exception as error:  # noqa: BLE001 - as above
            self._broke(work, error)
        finally:
            self._over(left)

    def _over(self, left: asyncio.Event) -> None:
        left.set()
        if self._schedule:
            self._news.set()

    def _broke(self, work: Work, error: Exception) -> None:
        logger.error("%s broke", work.key, exc_info=error)
        self.happen(work, on.Broke(_broken(work, error)))

    # --- what concerns all jobs --------------------------------------------------------------------------------------

    def _watch(self, work: Work, age: float | None, now: float) -> None:
        model = getattr(work.request, "mv", None)
        name = work.operation.operation
        kind = TaskKind(
            f"{name} {canonical(model)}" if isinstance(model, str) else name, work.operation.endpoint.typical
        )
        interval = self._interval or _RECOMMENDED_INTERVAL.get(work.operation.endpoint.platform, _OTHER_INTERVAL)
        first = None
        if age is not None and work.hooked:
            # The service will report by itself: polls are for what it forgot to report.
            interval = max(_RARELY, interval)
            first = max(self._schedule.durations.overdue(kind) + _GRACE, interval)
        if self._inbox is not None:
            self._inbox.expect(work)
        if age is None:
            self._schedule.attach(work, kind, now=now, interval=interval)
        else:
            timeout = None if work.timeout is None else age + work.timeout
            self._schedule.watch(work, kind, now=now - age, interval=interval, first=first, timeout=timeout)
        self._news.set()

    def _report(self, work: Work, error: MusicError) -> None:
        match error:
            case RateLimited():
                self._exchange.pause(work, error)
            case InsufficientCredits():
                self._hold_submits(work, error)
            case AuthenticationError() | SubscriptionRequired():
                for other in tuple(self._works.values()):
                    self.happen(other, on.Excluded(error))
            case _:
                self._exchange.trouble(work, error)

    def _hold_submits(self, work: Work, error: InsufficientCredits) -> None:
        if self._hold.refused(error, work.cost):
            self._schedule.submits_held = True
            waiting = self._waiting()
            cost = sum(each.cost for each in waiting)
            logger.warning(
                "the account has too few credits: %d jobs, which cost %d, wait; what runs is watched on",
                len(waiting),
                cost,
            )
            self._events.emit(CreditsShort(work.job, len(waiting), cost))
        if self._retrial is None:
            self._retrial = self._clock.call_later(TRY_AGAIN, self._send_again)

    def _send_again(self) -> InsufficientCredits | None:
        if self._retrial is not None:
            self._retrial.cancel()
            self._retrial = None
        self._schedule.submits_held = False
        self._news.set()
        return self._hold.over()

    def _give_up_waiting(self) -> None:
        """End the jobs that wait for credits, once nothing runs any more that could be refunded."""
        if self._hold.refusal is None or self._schedule.watching or self._posts:
            return
        waiting, refusal = self._waiting(), self._send_again()
        assert refusal is not None
        refusal.add_note(
            f"{len(waiting)} jobs, which cost {sum(work.cost for work in waiting)} credits, were not sent for want of "
            "them. Top the account up and submit them again; with a journal, just run the program again."
        )
        for work in waiting:
            self.happen(work, on.Excluded(refusal))

    def _waiting(self) -> list[Work]:
        return [work for work in self._works.values() if not work.order.direct and self._schedule.is_queued(work)]


def _broken(work: Work, error: Exception) -> MusicError:
    broken = MusicError(f"{work.key}: the session broke: {error!r}")
    broken.__cause__ = error
    return broken
