"""The loop that spends tokens: it takes the next one, and asks only then what it is worth most for."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Collection, Coroutine, Mapping
from functools import lru_cache
from typing import Protocol

import anyio

from ..api.models import canonical
from ..clock import Clock
from ..contexts import copy_of
from ..errors import MusicError, NotSent
from ..events import JobState, logger
from ..limiting.bucket import RateLimiter, Token
from ..scheduling.durations import TaskKind
from ..scheduling.schedule import EVERYTHING, Choice, Kind, Schedule, Terms
from .exchange import Exchange
from .happenings import Answered, Event, Failed, Sign
from .inbox import Inbox
from .lanes import Grant, Lane
from .lifecycle import advance
from .outage import Outage, is_probe
from .work import Work

_POLLS = frozenset({Kind.POLL})
_JOURNAL = "journal"
"""Why no submit is due: it does not answer."""
_RECOMMENDED_INTERVAL = {"sonic": 15.0}
_OTHER_INTERVAL = 5.0
_GRACE = 40.0
"""Seconds that a webhook has after its task is overdue: by then the service has tried again as often as it does."""
_RARELY = 60.0
"""Seconds between polls of a task of which a webhook should have reported by then."""
_AT_ONCE = 50
"""Requests that are started in one turn of the loop at most."""
_PROBES_FIRST = 1_000_000
"""Priority among direct calls."""


@lru_cache(256)
def _terms(name: str, typical: float, platform: str, deadline: float) -> Terms:
    """Return what jobs of one kind have in common: they share it."""
    return Terms(platform, TaskKind(name, typical), deadline)


def _terms_of(work: Work) -> Terms:
    name, endpoint, model = work.operation.operation, work.operation.endpoint, getattr(work.request, "mv", None)
    if isinstance(model, str):
        name = f"{name} {canonical(model)}"
    return _terms(name, endpoint.typical, endpoint.platform, work.order.deadline)


class Host(Protocol):
    """Whose jobs they are; in practice the dispatcher."""

    def happen(self, work: Work, event: Event) -> None: ...  # noqa: D102 - as there
    def happen_for(self, work: Work, event: Event) -> None: ...  # noqa: D102 - as there
    def broke(self, work: Work, error: Exception) -> None: ...  # noqa: D102 - as there
    def quiet(self) -> None: ...  # noqa: D102 - as there
    @property
    def works(self) -> Collection[Work]: ...  # noqa: D102 - as there
    def wake(self) -> None: ...  # noqa: D102 - as there


class Spending:
    """Spends the tokens of one session, a task for each request."""

    def __init__(
        self,
        host: Host,
        schedule: Schedule[Work],
        exchange: Exchange,
        clock: Clock,
        limiter: RateLimiter,
        *,
        poll_limiter: RateLimiter | None = None,
        inbox: Inbox | None = None,
        interval: float | None = None,
    ) -> None:
        self._host = host
        self._schedule = schedule
        self._exchange = exchange
        self._clock = clock
        self._inbox = inbox
        self._interval = interval
        self.outage: Outage = Outage(host, schedule, clock, self._probe, self._resume)
        self._lane = Lane(limiter, EVERYTHING if poll_limiter is None else EVERYTHING - _POLLS, clock.loop.time)
        self.lanes: list[Lane] = [self._lane]
        if poll_limiter is not None:
            self.lanes.append(Lane(poll_limiter, _POLLS, clock.loop.time))
        for lane in self.lanes:
            lane.wake = self.wake
        self._group: asyncio.TaskGroup | None = None
        self._news = asyncio.Event()
        # All that changes here: tokens that wait for the journal, jobs that wait for it without one, POSTs under way.
        self.grants: dict[Work, Grant] = {}
        """Tokens of jobs of which the journal is still asked."""
        self._stale: set[Work] = set()
        self._begun: deque[Work] = deque()
        """Jobs whose tokens grew too old for the journal, and of which it knows now that they are about to be sent."""
        self.posts: set[Work] = set()
        self._stopped = False

    def wake(self) -> None:
        """Say that there is something new in the schedule."""
        self._news.set()

    @property
    def stopped(self) -> bool:
        """Set it to spend nothing more."""
        return self._stopped

    @stopped.setter
    def stopped(self, stopped: bool) -> None:
        self._stopped = stopped
        if stopped:
            for lane in self.lanes:
                lane.stop()

    async def spend(self, lane: Lane, group: asyncio.TaskGroup) -> None:
        """Spend the tokens of one limiter until cancelled; each request is a task. Raises what the limiter raises."""
        self._group = group
        started = 0
        while True:
            await self._until_due(lane)
            await lane.room()
            token = await lane.limiter.acquire()
            # The token is bound only here: what was best when the waiting began may not be any more.
            if lane.hand_over(token):
                continue
            choice = None if self.stopped else self._choose(lane)
            if choice is None:
                token.give_back()
            else:
                copy_of(choice.job.context).run(self._start, choice, lane, token)
            started += 1
            if started % _AT_ONCE == 0:  # all tokens that are there are spent in one turn, but others want theirs too
                await asyncio.sleep(0)

    def _choose(self, lane: Lane) -> Choice[Work] | None:
        """Return what a token is spent on: first on what the journal has it about to leave for; else by its worth."""
        if (work := self._next_begun(lane)) is None:
            return self._schedule.take(self._clock.now(), lane.kinds)
        self._schedule.drop(work)
        return Choice(Kind.CALL if work.order.direct else Kind.SUBMIT, work)

    def _next_begun(self, lane: Lane) -> Work | None:
        while self._begun:
            work = self._begun[0]
            if work.begun and self._schedule.is_queued(work):
                held = self._schedule.holds - {_JOURNAL}  # which has answered for this one
                return work if Kind.SUBMIT in lane.kinds and not held else None
            self._begun.popleft()
        return None

    async def _until_due(self, lane: Lane) -> None:
        while True:
            self._news.clear()
            if lane.claimed() or (not self.stopped and self._next_begun(lane) is not None):
                return
            now = self._clock.now()
            due = None if self.stopped else self._schedule.due_at(now, lane.kinds)
            if due is not None and due <= now:
                return
            seconds = None if due is None else max(self._clock.real(due - now), 0.001)  # a shorter wait would spin
            lane.idle = True
            try:
                with anyio.move_on_after(seconds):
                    await self._news.wait()
            finally:
                lane.idle = False

    def watch(self, work: Work, age: float | None, now: float, *, exact: bool) -> None:
        """Poll the task of a job, which has been running for `age` seconds; None: nobody knows."""
        terms = _terms_of(work)
        kind, platform = terms.task, terms.platform
        interval = self._interval or _RECOMMENDED_INTERVAL.get(platform, _OTHER_INTERVAL)
        first = None
        if age is not None and work.hooked:
            # The service will report by itself: polls are for what it forgot to report.
            interval = max(_RARELY, interval)
            first = max(self._schedule.durations.overdue(kind) + _GRACE, interval)
        if self._inbox is not None:
            self._inbox.expect(work)
        given = math.inf if work.timer is None else work.timer.when() * self._clock.speed - now
        left = min(given, work.order.deadline - now)
        timeout = left if math.isfinite(left) else None
        if age is None:
            self._schedule.attach(work, kind, now=now, interval=interval, timeout=timeout, platform=platform)
        else:
            self._schedule.watch(
                work,
                kind,
                now=now,
                interval=interval,
                age=age if exact else min(age, self._schedule.durations.overdue(kind)),  # clocks may have been set
                first=first,
                timeout=timeout,
                learn=exact,
                platform=platform,
            )
        self.wake()

    # --- from the token to the request -------------------------------------------------------------------------------

    def queue(self, work: Work, delay: float | None, now: float) -> None:
        """Let a job wait for a token; with a `delay` before all others of its kind, once so many seconds have passed.

        A direct call leaves at once while there is nothing to weigh it against: the loop need not be woken for it.
        """
        if logger.isEnabledFor(logging.DEBUG):
            work.queued_at = now + (delay or 0.0)
        kind = Kind.CALL if work.order.direct else Kind.SUBMIT
        if delay is not None:
            self._schedule.again(work, kind, not_before=now + delay, terms=_terms_of(work))
            if work.begun and not delay:
                self._begun.append(work)
        elif kind is Kind.CALL and (token := self._token_now(work, now)) is not None:
            self._start(Choice(kind, work), self._lane, token)
            return
        else:
            self._schedule.add(work, kind, now=now, priority=work.order.priority, terms=_terms_of(work))
        self.wake()

    def _token_now(self, work: Work, now: float) -> Token | None:
        if self._schedule or self._schedule.is_paused(work.operation.endpoint.platform, now):
            return None
        return self._lane.token_now()

    def _start(self, choice: Choice[Work], lane: Lane, token: Token) -> None:
        work, grant = choice.job, lane.grant(token)
        if work.done or (choice.kind is not Kind.POLL and work.state is not JobState.QUEUED):
            grant.give_back()  # given up, or taken, since it was chosen
        elif choice.kind is Kind.POLL:
            self._create(work, self._poll(work, grant))
        elif is_probe(work):
            self._create(work, self._ask(work, grant))
        elif choice.kind is Kind.CALL and self.outage.parks(work):
            grant.give_back()
        else:
            self.grants[work] = grant
            self._host.happen(work, Sign.GRANTED)
            if work in self.grants:  # the journal is asked
                self._clock.loop.call_at(grant.fresh_until, self._grow_stale, work, grant)

    def _grow_stale(self, work: Work, grant: Grant) -> None:
        """Let others have a token that waited for the journal for too long; until that answers, nothing more begins."""
        if self.grants.get(work) is grant:
            del self.grants[work]
            self._stale.add(work)
            self._schedule.holds.add(_JOURNAL)
            grant.give_back()

    def send(self, work: Work) -> None:
        """Send the request of a job with its token; without one it waits for the next."""
        if (grant := self.grants.pop(work, None)) is None:
            self._clock.loop.call_soon(self._host.happen_for, work, Sign.STALE)
        else:
            self.posts.add(work)
            self._create(work, self._submit(work, grant))

    def _probe(self, work: Work) -> None:
        if not self.stopped:
            self._schedule.add(work, Kind.CALL, now=self._clock.now(), priority=_PROBES_FIRST)
            self.wake()

    async def _ask(self, work: Work, grant: Grant) -> None:
        try:
            event = await self._exchange.send(work, {}, grant, lambda _: None)
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not take the jobs along
            event = Failed(MusicError(f"the probe broke: {error!r}"))
        finally:
            self._over(grant)
        if isinstance(event, Sign):  # its token was too old to depart with
            self._probe(work)
        else:
            self.outage.probed(work, event)

    def _resume(self, work: Work) -> None:
        self.queue(work, 0.0, self._clock.now())

    def answered(self, work: Work) -> None:
        """Note that the journal has answered."""
        if work in self._stale:
            self._stale.discard(work)
            if not self._stale:
                self._schedule.holds.discard(_JOURNAL)
                self.wake()

    async def _submit(self, work: Work, grant: Grant) -> None:
        more: Mapping[str, str] = {}
        if self._inbox is not None:
            work.hooked = self._inbox.expect(work)
            more = self._inbox.fields(work)
        try:
            self._happen(work, await self._exchange.send(work, more, grant, self._depart))
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not take the other jobs along
            self._host.broke(work, error)
        finally:
            self.posts.discard(work)
            self.outage.over(work)
            if not self.posts:
                self._host.quiet()
            self._over(grant)

    def _happen(self, work: Work, event: Answered | Failed | Sign) -> None:
        if isinstance(event, Answered):
            self.outage.answered(work, event)
        self._host.happen(work, event)

    def _depart(self, work: Work) -> None:
        """Note that its request leaves; raise `NotSent` when nobody wants that any more, or it would be too late."""
        if work.ending is not None:
            raise NotSent("given up before it was sent")
        if not work.may_leave(self._clock.now()):
            raise NotSent("it was about to leave too late: others may have declared its outcome unknown")
        advance(work, Sign.DEPARTED, 0.0)
        self.outage.departed(work)

    async def _poll(self, work: Work, grant: Grant) -> None:
        try:
            happened = await self._exchange.poll(work, grant)
            if happened is Sign.STALE:
                self._schedule.not_polled(work, not_before=self._clock.now())
            else:
                self._happen(work, happened)
        except Exception as error:  # noqa: BLE001 - as above
            self._host.broke(work, error)
        finally:
            self._over(grant)

    def _create(self, work: Work, request: Coroutine[object, object, None]) -> None:
        if self._group is None:
            raise MusicError("the session is not running")
        self._group.create_task(request, context=copy_of(work.context))

    def _over(self, grant: Grant) -> None:
        grant.give_back()  # unless its request departed
        if self._schedule:
            self.wake()
