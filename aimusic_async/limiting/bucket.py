"""The rate limiter: who may send a request, and when.

`TokenBucket` is first come, first served, and loses no token when a waiter is cancelled. It never admits too early, on
a real clock or a virtual one; at worst a millisecond late.
"""

from __future__ import annotations

import asyncio
import bisect
import math
from contextlib import suppress
from typing import Protocol

import attrs

from ..errors import ConfigurationError
from ..settings import check_positive

STANDARD_RATE = 1 / 3
"""Requests per second of the standard plan."""

_REMEMBERED = 128
"""Tokens that are out, or just were, whose moments are kept; what an older one could give back is lost."""

_SHORTEST_WAIT = 0.001
"""Seconds. A loop's timers are no finer than this; a shorter wait would spin."""


class Token(Protocol):
    """The right to send one request. Call one of the two methods, once."""

    def spent(self) -> None:
        """Say that the request leaves now: the next token counts from here, not from when this one was granted.

        Without it the token counts from when it was granted.
        """

    def give_back(self) -> None:
        """Say that nothing was sent: the next waiter may have it at once."""


class RateLimiter(Protocol):
    """What a session asks before each request. Write your own to share a limit in another way.

    One that knows at once whether a token is there may have `acquire_now` too, as `TokenBucket` has: it saves direct
    calls a turn of the loop.
    """

    async def acquire(self) -> Token:
        """Wait for a token. Cancelling the wait takes none."""
        ...

    def pause_until(self, moment: float) -> None:
        """Grant nothing before `moment` on the event loop's clock (`loop.time()`): the service said 429."""


class TokenBucket:
    """At most `rate` requests per second, with up to `capacity` of them at once after a quiet time.

    When a token is granted is not when the request arrives: the network delays one request more than the next, and the
    service counts arrivals. So each period (1/`rate` seconds) is longer by `margin` seconds: by default 2 %, and at
    least 0.05. With `margin=0` the bucket is exact to the clock.

    Use one bucket for all sessions of an account. It serves one event loop at a time, and another when that is closed.
    """

    def __init__(self, rate: float = STANDARD_RATE, capacity: int = 1, *, margin: float | None = None) -> None:
        """Raise `ConfigurationError` unless rate > 0, capacity ≥ 1 and margin ≥ 0."""
        check_positive("rate", rate)
        check_positive("capacity", capacity)
        if capacity != int(capacity):
            raise ConfigurationError(f"capacity must be a whole number; got {capacity!r}")
        if margin is not None and not 0 <= margin < math.inf:
            raise ConfigurationError(f"margin must be a number of seconds, 0 or more; got {margin!r}")
        self.rate: float = rate
        self.capacity: int = int(capacity)
        self.margin: float = max(0.02 / rate, 0.05) if margin is None else margin
        self._level = _Level(period=1 / rate + self.margin, capacity=self.capacity)
        self._bind()

    @property
    def period(self) -> float:
        """Seconds from one token to the next, margin included."""
        return self._level.period

    async def acquire(self) -> Token:
        """Wait for the next token, behind those who came before. Cancelling the wait takes none."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None and not self._loop.is_closed():
                raise ConfigurationError("a TokenBucket serves one event loop at a time; this one serves another")
            self._bind(loop)
        clock = loop.time
        async with self._turn:
            while (wait := self._level.ready_at() - clock()) > 0:
                self._sooner.clear()
                await _wait(self._sooner, wait)
            # No await from here on: a token that was taken is a token that is returned.
            return _Grant(self, self._level.take(clock()))

    def acquire_now(self) -> Token | None:
        """Return a token if one is there and nobody waits for it, else None: also before the first `acquire`."""
        loop = asyncio.get_running_loop()
        if self._turn.locked() or self._loop is not loop:
            return None
        now = loop.time()
        return _Grant(self, self._level.take(now)) if self._level.ready_at() <= now else None

    def _bind(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Belong to a loop; the level stays, as all loops of a process share a clock."""
        self._loop = loop
        self._turn = asyncio.Lock()  # its queue is the order of service
        self._sooner = asyncio.Event()

    def pause_until(self, moment: float) -> None:
        """Grant nothing before `moment` on the event loop's clock (`loop.time()`); tokens that are out stay valid."""
        self._level.paused_until = max(self._level.paused_until, moment)

    def _spent(self, taken: _Taken) -> None:
        self._level.hold(taken, asyncio.get_running_loop().time() - taken.at)

    def _returned(self, taken: _Taken) -> None:
        self._level.put_back(taken)
        self._sooner.set()


async def _wait(sooner: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until the event."""
    with suppress(TimeoutError):
        async with asyncio.timeout(max(seconds, _SHORTEST_WAIT)):
            await sooner.wait()


class _Bucket(Protocol):
    """What a granted token reports to its bucket."""

    def _spent(self, taken: _Taken) -> None: ...

    def _returned(self, taken: _Taken) -> None: ...


@attrs.define
class _Grant:
    """One token of a bucket."""

    bucket: _Bucket
    taken: _Taken
    settled: bool = False

    def spent(self) -> None:
        """See `Token.spent`."""
        if not self.settled:
            self.settled = True
            self.bucket._spent(self.taken)  # noqa: SLF001 - the two are one thing

    def give_back(self) -> None:
        """See `Token.give_back`."""
        if not self.settled:
            self.settled = True
            self.bucket._returned(self.taken)  # noqa: SLF001 - as above


@attrs.frozen
class _Taken:
    """When a token was taken, and when the one before it was."""

    at: float
    before: float


@attrs.define
class _Level:
    """How full a bucket is, without a clock: the moment at which it will be full again says it all."""

    period: float
    capacity: int
    full_at: float = -math.inf
    paused_until: float = -math.inf
    latest: float = -math.inf
    """When the last token left that was not given back."""
    _before: float = -math.inf
    """When it would be full again without those that follow."""
    _left: list[float] = attrs.field(factory=list)
    """When tokens left since it was full, in order; kept where several may be out at once."""

    def ready_at(self) -> float:
        """Return the moment from which a token is there."""
        return max(self.full_at - (self.capacity - 1) * self.period, self.paused_until)

    def take(self, now: float) -> _Taken:
        """Take the token that is there."""
        taken = _Taken(at=now, before=self.latest)
        self.latest = now
        if self.capacity > 1:
            if self.full_at <= now:
                self._before, self._left, self.full_at = -math.inf, [now], now + self.period
            else:
                self._replace(None, now)
        else:
            self.full_at = max(self.full_at, now) + self.period
        return taken

    def put_back(self, taken: _Taken) -> None:
        """Have a token again, but never sooner than a period after the last one that was really used."""
        if self.latest == taken.at:
            self.latest = taken.before
        if self.capacity > 1:
            self._replace(taken.at, None)
            return
        self.full_at = max(self.full_at - self.period, self.latest + self.period)

    def hold(self, taken: _Taken, seconds: float) -> None:
        """Count a token from the moment it was spent, `seconds` after it was taken."""
        spent = taken.at + seconds
        self.latest = max(self.latest, spent)
        if self.capacity > 1:
            self._replace(taken.at, spent)
        else:
            self.full_at = max(self.full_at, spent + self.period)

    def _replace(self, old: float | None, new: float | None) -> None:
        """Count a token from another moment, or no more, and compute again when the bucket will be full."""
        if new is not None and self._left == [old]:
            self._left, self.full_at = [new], max(self._before, new) + self.period
            return
        if old in self._left:
            self._left.remove(old)
        elif new is None:
            return  # too long ago to make a difference that is safe
        if new is not None:
            bisect.insort(self._left, new)
        while len(self._left) > _REMEMBERED:
            self._before = max(self._before, self._left.pop(0)) + self.period
        self.full_at = self._before
        for left in self._left:
            self.full_at = max(self.full_at, left) + self.period
