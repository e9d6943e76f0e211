"""The rate limiter: who may send a request, and when.

`TokenBucket` is first come, first served, and loses no token when a waiter is cancelled. It never admits too early, on
a real clock or a virtual one; at worst a millisecond late.
"""

from __future__ import annotations

import asyncio
import math
import weakref
from collections import deque
from contextlib import suppress
from functools import partial
from typing import Protocol

import attrs

from ..errors import ConfigurationError
from ..settings import check_capacity, check_rate
from .level import Level, fresh_for, standard_margin

STANDARD_RATE = 1 / 3
"""Requests per second of the standard plan."""

_SHORTEST_WAIT = 0.001
"""Seconds. A loop's timers are no finer than this; a shorter wait would spin."""


class Token(Protocol):
    """The right to send one request. Call one of the two methods, once.

    A token that is held for longer than a period, and than 0.25 seconds, must not be used any more: give it back and
    take another. Who knows better until when may have an attribute `fresh_until` too, a moment of `loop.time()`.
    """

    def spent(self) -> None:
        """Say that the request leaves now: the token counts from here, not from when it was granted.

        Until then it is in flight, and nobody else gets its place. Without it the token counts from when it was
        granted, once you have let go of it or it is too old to be used.
        """

    def give_back(self) -> None:
        """Say that nothing was sent: the next waiter may have it at once."""


class RateLimiter(Protocol):
    """What a session asks before each request. Write your own to share a limit in another way.

    One that knows at once whether a token is there may have `acquire_now` too, as `TokenBucket` has: it saves direct
    calls a turn of the loop. With an attribute `capacity`, so many requests of a session may be on their way to the
    wire at once; without it, one. Its `period` says how long a token may be held.
    """

    async def acquire(self) -> Token:
        """Wait for a token. Cancelling the wait takes none."""
        ...

    def pause_until(self, moment: float) -> None:
        """Grant nothing before `moment` on the event loop's clock (`loop.time()`): the service said 429."""


def checked(rate: float, capacity: int, margin: float | None) -> tuple[float, int, float]:
    """Return the numbers of a limiter, complete. Raises `ConfigurationError` unless they make sense."""
    check_rate(rate)
    check_capacity(capacity)
    if margin is not None and not 0 <= margin < math.inf:
        raise ConfigurationError(f"margin must be a number of seconds, 0 or more; got {margin!r}")
    return rate, int(capacity), standard_margin(rate) if margin is None else margin


class TokenBucket:
    """At most `rate` requests per second, with up to `capacity` of them at once after a quiet time.

    When a token is granted is not when the request arrives: the network delays one request more than the next, and the
    service counts arrivals. So each period (1/`rate` seconds) is longer by `margin` seconds: by default 2 %, at least
    0.05 seconds, at most 5 %. With `margin=0` the bucket is exact to the clock.

    What counts is when requests depart (`Token.spent`): in any time t there are never more than `capacity` and one for
    each period in t, also when some of them depart late.

    Use one bucket for all sessions of an account. It serves one event loop at a time, and another when that is closed.
    """

    def __init__(self, rate: float = STANDARD_RATE, capacity: int = 1, *, margin: float | None = None) -> None:
        """Raise `ConfigurationError` unless rate > 0, capacity ≥ 1 and margin ≥ 0."""
        self.rate: float
        self.capacity: int
        self.margin: float
        self.rate, self.capacity, self.margin = checked(rate, capacity, margin)
        self._level = Level(1 / rate + self.margin, self.capacity)
        self._handles: dict[int, weakref.ref[Grant]] = {}
        self._dropped: deque[int] = deque()
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
            while (wait := self._wait(clock())) > 0:
                self._sooner.clear()
                await wait_for_event(self._sooner, wait)
            # No await from here on: a token that was taken is a token that is returned.
            return self._take(clock())

    def acquire_now(self) -> Token | None:
        """Return a token if one is there and nobody waits for it, else None: also before the first `acquire`."""
        loop = asyncio.get_running_loop()
        if self._turn.locked() or self._loop is not loop:
            return None
        now = loop.time()
        return self._take(now) if self._wait(now) <= 0 else None

    def _bind(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Belong to a loop; the level stays, as all loops of a process share a clock."""
        self._loop = loop
        self._turn = asyncio.Lock()  # its queue is the order of service
        self._sooner = asyncio.Event()

    def pause_until(self, moment: float) -> None:
        """Grant nothing before `moment` on the event loop's clock (`loop.time()`); tokens that are out stay valid."""
        self._level.paused_until = max(self._level.paused_until, moment)

    def _wait(self, now: float) -> float:
        while self._dropped:
            number = self._dropped.popleft()
            self._handles.pop(number, None)
            self._level.drop(number)
        return self._level.wait(now)

    def _take(self, now: float) -> Grant:
        number = self._level.take(now)
        grant = Grant(self, number, now + fresh_for(self.period))
        self._handles[number] = weakref.ref(grant, partial(self._drop, number))
        return grant

    def _drop(self, number: int, _: object) -> None:
        """Note that nobody holds a token any more. Any thread may collect garbage, so no more than that is done."""
        self._dropped.append(number)
        if self._turn.locked() and self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._sooner.set)

    def _spent(self, number: int) -> None:
        self._handles.pop(number, None)
        self._level.spent(number, asyncio.get_running_loop().time())
        self._sooner.set()

    def _returned(self, number: int) -> None:
        self._handles.pop(number, None)
        self._level.put_back(number)
        self._sooner.set()


async def wait_for_event(sooner: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until the event."""
    with suppress(TimeoutError):
        async with asyncio.timeout(max(seconds, _SHORTEST_WAIT)):
            await sooner.wait()


class _Bucket(Protocol):
    """What a granted token reports to its bucket."""

    def _spent(self, number: int) -> None: ...

    def _returned(self, number: int) -> None: ...


@attrs.define(eq=False)
class Grant:
    """One token of a bucket."""

    bucket: _Bucket
    number: int
    fresh_until: float
    """Moment of the loop's clock until which its request may depart."""
    settled: bool = False

    def spent(self) -> None:
        """See `Token.spent`."""
        if not self.settled:
            self.settled = True
            self.bucket._spent(self.number)  # noqa: SLF001 - the two are one thing

    def give_back(self) -> None:
        """See `Token.give_back`."""
        if not self.settled:
            self.settled = True
            self.bucket._returned(self.number)  # noqa: SLF001 - as above
