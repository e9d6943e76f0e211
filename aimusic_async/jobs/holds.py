"""What concerns all jobs of a session: refusals for speed, trouble that passes, too few credits, a refused account."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Protocol

import attrs

from ..clock import Clock
from ..errors import (
    AuthenticationError,
    InsufficientCredits,
    MusicError,
    NotSent,
    RateLimited,
    ServerError,
    SubscriptionRequired,
    TransportError,
)
from ..events import CreditsShort, Events, JobState, RefusedRepeatedly, RequestRefused, logger
from ..limiting.bucket import RateLimiter
from ..scheduling.retry import concerns_platform, pause
from ..scheduling.schedule import Schedule
from ..slices import in_slices
from .happenings import Excluded, GivenUp
from .outage import Outage
from .work import Work

_TRY_AGAIN = 300.0
"""Seconds after which a submit that the account could not pay is tried again: somebody may have topped it up."""
_LONG_PAUSE = 10.0
"""Seconds without a request that are logged: who waits for an answer wonders why."""
_REPEATEDLY = 3
"""Refusals for speed after which it is logged that the limit does not fit."""
_REFUSED = "refused"
"""Why no submit is due: the account is refused, and all that wait are ending."""
_CALM = 60.0
"""Seconds without a refusal after which a platform is believed to be well again."""


@attrs.define
class _BackOff:
    """How long one platform is left alone."""

    refusals: int = 0
    """In a row."""
    until: float = -math.inf


class Host(Protocol):
    """Whose jobs they are; in practice the dispatcher."""

    @property
    def works(self) -> Collection[Work]: ...  # noqa: D102 - as there
    def happen_for(self, work: Work, event: Excluded | GivenUp) -> None: ...  # noqa: D102 - as there
    @property
    def posting(self) -> bool: ...  # noqa: D102 - as there
    def wake(self) -> None: ...  # noqa: D102 - as there


class Holds:
    """Pauses the limiters or one platform, holds submits while credits are short, ends what the account is refused."""

    def __init__(
        self,
        host: Host,
        schedule: Schedule[Work],
        limiters: Sequence[RateLimiter],
        clock: Clock,
        events: Events,
        *,
        outage: Outage,
    ) -> None:
        self._host = host
        self._schedule = schedule
        self._limiters = limiters
        self._clock = clock
        self._events = events
        self._outage = outage
        self._refusals = 0  # in a row
        self._incidents = 0  # since the session was opened
        self._paused_until = 0.0
        self._platforms: dict[str, _BackOff] = {}
        self._trouble = False
        self._refusal: InsufficientCredits | None = None
        self._missing = 0  # credits that the refused job needs
        self._retrial: asyncio.TimerHandle | None = None
        self._finding = False  # who waits for credits

    def went_well(self) -> None:
        """Note that the service answers."""
        self._refusals, self._trouble = 0, False

    def report(self, work: Work, error: MusicError) -> None:
        """Note a failure that concerns others, too."""
        match error:
            case RateLimited() if concerns_platform(error):
                self._back_off(work, error)
            case RateLimited():
                self._pause(work, error)
            case InsufficientCredits():
                self._hold(work, error)
            case AuthenticationError() | SubscriptionRequired():
                if _REFUSED not in self._schedule.holds:  # else all that wait are ending already
                    self._exclude(self._host.works, error)
            case TransportError() | ServerError() if not isinstance(error.__cause__, NotSent):  # else it was withdrawn
                self._outage.trouble(work, error)
            case _ if not self._trouble:
                self._trouble = True  # logged once, until something goes well again
                logger.warning("%s: %s; it is tried again", work.key, error)

    def _exclude(self, works: Collection[Work], error: MusicError) -> None:
        self._schedule.holds.add(_REFUSED)  # until all that wait now have ended
        in_slices(
            tuple(works), lambda work: self._host.happen_for(work, Excluded(error)), partial(self._lift, _REFUSED)
        )

    def _lift(self, hold: str) -> None:
        self._schedule.holds.discard(hold)
        self._host.wake()

    def _pause(self, work: Work, error: RateLimited) -> None:
        now = self._clock.now()
        new = now >= self._paused_until  # several refused at once are one incident
        self._refusals += new
        self._incidents += new
        seconds = pause(error.retry_after, self._refusals)
        if seconds >= _LONG_PAUSE and now + seconds > self._paused_until:
            logger.warning("the service refused a request for coming too fast: nothing is sent for %.0f s", seconds)
        self._paused_until = max(self._paused_until, now + seconds)
        for limiter in self._limiters:
            try:
                limiter.pause_until(self._clock.loop.time() + self._clock.real(seconds))
            except Exception as broken:  # noqa: BLE001 - a limiter of the user's own may raise anything
                logger.warning("the limiter failed: %r", broken)
        self._events.emit(RequestRefused(work.job, seconds))
        if new and self._incidents == _REPEATEDLY:
            logger.warning(
                "the service refused requests %d times for coming too fast: is the plan's limit lower than the "
                "limiter's, or does another program use the same key?",
                self._incidents,
            )
            self._events.emit(RefusedRepeatedly(self._incidents))

    def _back_off(self, work: Work, error: RateLimited) -> None:
        """Leave one platform alone, and its tasks too when it refuses even a poll; the others go on."""
        platform, now = work.operation.endpoint.platform, self._clock.now()
        known = self._platforms.setdefault(platform, _BackOff())
        if now >= known.until:  # several refused at once are one incident
            known.refusals = known.refusals + 1 if now < known.until + _CALM else 1
            if known.refusals == 1:
                logger.warning("%s refuses for now (%s); the other platforms go on", platform, error.message)
        seconds = pause(error.retry_after, known.refusals)
        known.until = max(known.until, now + seconds)
        self._schedule.pause(platform, until=known.until, polls=work.state is JobState.SUBMITTED)
        self._events.emit(RequestRefused(work.job, seconds, platform))

    # --- too few credits ---------------------------------------------------------------------------------------------

    def _hold(self, work: Work, error: InsufficientCredits) -> None:
        """Hold all submits, so that one refusal is enough; the refused one waits again with the others."""
        if self._refusal is None:
            self._schedule.holds.add("credits")
            self._find_waiting(partial(self._say_short, work))
        self._refusal, self._missing = error, work.cost
        if self._retrial is None:
            self._retrial = self._clock.call_later(_TRY_AGAIN, self._go_on)

    def _say_short(self, work: Work, waiting: list[Work], cost: int) -> None:
        logger.warning(
            "the account has too few credits: %d jobs, which cost %d, wait; what runs is watched on", len(waiting), cost
        )
        self._events.emit(CreditsShort(work.job, len(waiting), cost))

    def credited(self, credits: int | None) -> None:  # noqa: A002 - the service's own word
        """Note that the account paid, or has, so many credits; None: something was refunded."""
        if self._refusal is not None and (credits is None or credits >= self._missing):
            self._go_on()

    def _go_on(self) -> None:
        if self._retrial is not None:
            self._retrial.cancel()
        self._refusal = self._retrial = None
        self._lift("credits")

    def give_up_waiting(self) -> None:
        """End the jobs that wait for credits, once nothing runs any more that could be refunded."""
        if (refusal := self._hopeless()) is not None and not self._finding:
            self._find_waiting(partial(self._end_waiting, refusal))

    def _hopeless(self) -> InsufficientCredits | None:
        """Return the refusal for which jobs wait, if nothing is under way any more that could end that."""
        return None if self._host.posting or self._schedule.watching else self._refusal

    def _end_waiting(self, refusal: InsufficientCredits, waiting: list[Work], cost: int) -> None:
        if self._hopeless() is not refusal:  # by now
            return
        self._go_on()
        refusal.add_note(
            f"{len(waiting)} jobs, which cost {cost} credits, were not sent for want of them. Top the account up and "
            "submit them again; with a journal, just run the program again."
        )
        self._exclude(waiting, refusal)

    def _find_waiting(self, then: Callable[[list[Work], int], None]) -> None:
        """Find the jobs that wait for credits, and what they cost."""
        waiting: list[Work] = []

        def look(work: Work) -> None:
            if not work.order.direct and self._schedule.is_queued(work):
                waiting.append(work)

        def found() -> None:
            self._finding = False
            then(waiting, sum(work.cost for work in waiting))
            self.give_up_waiting()

        self._finding = True
        in_slices(tuple(self._host.works), look, found)
