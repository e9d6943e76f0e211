"""An outage: submits are held while the service does not answer, and a free request asks until it does."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, Protocol

import attrs

from ..api.whose import is_of_the_service
from ..clock import Clock
from ..errors import MusicError, NotSent, TransportError
from ..events import JobState, logger
from ..home import Home
from ..scheduling.retry import delay
from ..scheduling.schedule import Schedule
from ..slices import in_slices
from .happenings import Answered, Excluded, Failed, GivenUp
from .job import Job
from .work import Order, Rules, Where, Work

_HOLD = "outage"
_FAILS_FAST_AFTER = 3
"""Probes that fail before a session gives up that never had one answer of the service: its address may be wrong."""
_LONGEST_WORD = 3600.0
_SILENCE = 1 / 6
"""Share of the time that a submit may take after which, with nothing heard, an outage is suspected: 10 of 60 s."""


class Host(Protocol):
    """Whose jobs they are; in practice the dispatcher."""

    @property
    def works(self) -> Collection[Work]: ...  # noqa: D102 - as there
    def happen_for(self, work: Work, event: Excluded | GivenUp) -> None: ...  # noqa: D102 - as there
    def wake(self) -> None: ...  # noqa: D102 - as there


@attrs.define
class _Incident:
    """An outage that goes on."""

    since: float
    error: MusicError
    """What went wrong first."""
    not_before: float
    """When it may be over at the earliest: after each submit in a row whose outcome is unknown, later."""
    said: str = ""
    """What is to be logged once it lasts; empty when it was."""
    failed: int = 0
    """Probes that failed."""
    probe: Work | None = None
    """The latest."""
    parked: list[Work] = attrs.field(factory=list)
    """Direct calls that wait for its end."""


class Outage:
    """Knows whether the service answers, by its own words only.

    `ask` sends the probe with the next token, `resume` lets a call wait for one that was parked.
    """

    def __init__(
        self,
        host: Host,
        schedule: Schedule[Work],
        clock: Clock,
        ask: Callable[[Work], object],
        resume: Callable[[Work], object],
    ) -> None:
        self._host = host
        self._schedule = schedule
        self._clock = clock
        self._ask = ask
        self._resume = resume
        self._heard_at = -math.inf  # on the loop's clock; never since the session was opened
        self._out: dict[Work, asyncio.TimerHandle] = {}  # submits under way, until it is suspicious that they are
        self._strikes = 0  # incidents in a row that began with a submit, and none that was taken in between
        self._incident: _Incident | None = None

    def trouble(self, work: Work, error: MusicError) -> None:
        """Note that a request got no answer of the service: nothing is submitted until a free one does."""
        poll = work.state is JobState.SUBMITTED
        if self._incident is None:
            strike = not poll and _is_submit(work)
            self._strikes += strike
            self._begin(work, error, delay(self._strikes if strike else 1), again=strike and self._strikes > 1)
        if not poll or work.tries <= 1:  # else it is one task, of which that was logged
            self._say(self._incident)

    def departed(self, work: Work) -> None:
        """Note that a request leaves: when nothing is heard for long after a submit, others do not follow it."""
        if not _is_submit(work):
            return
        loop, patience = self._clock.loop, _SILENCE * work.operation.endpoint.reply_within
        self._out[work] = loop.call_later(patience, self._suspect, work, loop.time(), patience)

    def _suspect(self, work: Work, left: float, patience: float) -> None:
        if self._heard_at < left and self._incident is None and self._schedule.waiting:
            self._begin(work, TransportError(f"no answer for {patience:.0f} seconds"), 0.0)

    def over(self, work: Work) -> None:
        """Note that a submit is over."""
        if (suspicion := self._out.pop(work, None)) is not None:
            suspicion.cancel()  # which lets go of the job

    def _begin(self, work: Work, error: MusicError, probe_in: float, *, again: bool = False) -> None:
        now = self._clock.now()
        said = f"{work.key}: {error}; nothing is submitted until the service answers"
        self._incident = _Incident(since=now, error=error, not_before=now + probe_in * again, said=said)
        self._schedule.holds.add(_HOLD)
        self._probe_in(probe_in, self._incident)

    def _say(self, incident: _Incident | None) -> None:
        if incident is not None and incident.said:
            logger.warning("%s", incident.said)
            incident.said = ""

    def answered(self, work: Work, event: Answered) -> None:
        """Note an answer to a job's request: the service's own words end an outage, unless they say that it failed."""
        reply = event.reply
        if reply.status >= 500 or not is_of_the_service(reply.status, reply.body):
            return
        self._heard_at = self._clock.loop.time()
        if not event.poll and reply.status < 300 and _is_submit(work):
            self._strikes = 0
        if self._incident is not None and self._clock.now() >= self._incident.not_before:
            self._end(self._incident)

    def parks(self, work: Work) -> bool:
        """Keep a direct call that has its token: one that costs, or that has failed before, waits for the end."""
        if self._incident is None or not (work.cost or work.tries):
            return False
        self._incident.parked.append(work)
        return True

    def probed(self, probe: Work, event: Answered | Failed) -> None:
        """Note what came of a probe."""
        if isinstance(event, Answered):
            self.answered(probe, event)
        incident = self._incident
        if incident is None or incident.probe is not probe:  # of an outage that is over
            return
        incident.failed += 1
        self._say(incident)
        if self._heard_at == -math.inf and incident.failed >= _FAILS_FAST_AFTER:
            self._fail_fast(incident)
            return
        asked = (event.reply.retry_after or 0.0) if isinstance(event, Answered) else 0.0
        wait = max(delay(incident.failed + 1), min(asked, _LONGEST_WORD), incident.not_before - self._clock.now())
        self._probe_in(wait, incident)

    def _probe_in(self, seconds: float, incident: _Incident) -> None:
        def probe() -> None:
            if self._incident is incident:
                incident.probe = _new_probe()
                self._ask(incident.probe)

        self._clock.call_later(seconds, probe)

    def _end(self, incident: _Incident) -> None:
        seconds = self._clock.now() - incident.since
        if incident.failed:
            logger.warning("the service answers again, after %.0f seconds; what waited is sent now", seconds)
        self._lift(incident)

    def _lift(self, incident: _Incident) -> None:
        if self._incident is not incident:  # an answer was faster
            return
        self._incident = None
        self._schedule.holds.discard(_HOLD)
        if incident.probe is not None:
            self._schedule.drop(incident.probe)
        for work in incident.parked:
            if work.state is JobState.QUEUED and work.where is Where.HERE:  # else it was taken or ended meanwhile
                self._resume(work)
        self._host.wake()

    def _fail_fast(self, incident: _Incident) -> None:
        """End what waits or is watched: since the session was opened, nobody there has proved to be the service."""
        first = incident.error
        unheard = f"the service has not answered since the session was opened, so nothing was sent: {first}"
        error = first if isinstance(first, NotSent) else NotSent(unheard)

        def give_up(work: Work) -> None:
            own = work.trouble or error
            watched = work.state is JobState.SUBMITTED
            self._host.happen_for(work, GivenUp(own, released=True) if watched else Excluded(own))

        in_slices(tuple(self._host.works), give_up, partial(self._lift, incident))


def _is_submit(work: Work) -> bool:
    """Whether its request may make something at the service, which costs."""
    return work.operation.endpoint.method == "POST"


_PROBE = Order(direct=True)


def is_probe(work: Work) -> bool:
    """Whether it only asks whether the service answers; it is no job of anybody's."""
    return work.order is _PROBE


class _Nobody:
    def __init__(self) -> None:
        self.home = Home()

    def give_up(self, job: Job[Any], error: MusicError, *, released: bool = False) -> None: ...
    def read(self, work: Work) -> None: ...


def _new_probe() -> Work:
    from ..api.account import GetCredits  # noqa: PLC0415 - loads the operations, which not every program needs

    probe = Work.of(Rules(), GetCredits, "a probe", _PROBE, request=GetCredits())
    Job[Any](_Nobody(), probe)
    return probe
