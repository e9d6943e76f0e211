"""Tokens in the hands of a session: of which limiter, for how long, and who takes the next one before all others."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import attrs

from ..errors import NotSent
from ..events import logger
from ..limiting.bucket import RateLimiter, Token
from ..limiting.level import fresh_for
from ..scheduling.schedule import Kind

_STANDARD_PERIOD = 3.0
"""Seconds, of a limiter that does not say."""


class Stale(NotSent):
    """A request did not depart, as its token was too old and no other was there."""

    def __init__(self, message: str = "its token was too old to depart with") -> None:
        super().__init__(message)


@attrs.define(eq=False)
class Lane:
    """One limiter, and what its tokens are spent on.

    So many requests are on their way to the wire at once as the limiter's `capacity` says: only when they have departed
    is it known from when the next periods count.
    """

    limiter: RateLimiter
    kinds: frozenset[Kind]
    clock: Callable[[], float]
    """The event loop's."""
    idle: bool = False
    """Whether its loop waits until something is due."""
    stopped: bool = False
    out: dict[Grant, None] = attrs.field(factory=dict)
    """Those whose requests have not departed, the oldest first."""
    heirs: deque[tuple[Grant, asyncio.Future[None]]] = attrs.field(factory=deque)
    """Requests whose own tokens are too old: they take the next, in this order."""
    changed: asyncio.Event = attrs.field(factory=asyncio.Event)
    """Set when a request departed, or will not."""
    wake: Callable[[], None] = lambda: None
    """Called when somebody wants a token who is not in the schedule."""

    @property
    def capacity(self) -> float:
        """How many may be out at once."""
        return max(self._said("capacity", 1), 1)

    @property
    def fresh(self) -> float:
        """Seconds for which a token may be held."""
        return fresh_for(self._said("period", _STANDARD_PERIOD))

    def _said(self, name: str, default: float) -> float:
        """Return a number that the limiter may have; it may be the user's own, and have anything."""
        value = getattr(self.limiter, name, default)
        return value if isinstance(value, int | float) and value > 0 else default

    async def room(self) -> None:
        """Wait until another token may be out."""
        while len(self.out) >= self.capacity:
            self.changed.clear()
            await self.changed.wait()

    def token_now(self) -> Token | None:
        """Return a token if the loop sleeps and would get one at once; None also if the limiter does not know."""
        return self._take_now() if self.idle and len(self.out) < self.capacity else None

    def _take_now(self) -> Token | None:
        acquire_now: Callable[[], Token | None] | None = getattr(self.limiter, "acquire_now", None)
        try:
            return acquire_now() if acquire_now is not None else None
        except Exception as error:  # noqa: BLE001 - a limiter of the user's own may raise anything
            logger.warning("the limiter failed: %r", error)
            return None

    def grant(self, token: Token) -> Grant:
        """Take a token for a request."""
        grant = Grant(self, token, self._fresh_until(token))
        self.out[grant] = None
        return grant

    def _fresh_until(self, token: Token) -> float:
        known: float | None = getattr(token, "fresh_until", None)
        return self.clock() + self.fresh if known is None else known

    def settle(self, grant: Grant) -> None:
        """Note that a token is not out any more."""
        if grant in self.out:
            del self.out[grant]
            self.changed.set()

    def renew_now(self, grant: Grant) -> bool:
        """Take another token for a request, if one is there now."""
        if self.stopped or self.heirs or (token := self._take_now()) is None:
            return False
        self._renew(grant, token)
        return True

    async def renew(self, grant: Grant) -> None:
        """Take the next token for a request. Raises `Stale` when there will be none."""
        if self.stopped:
            raise Stale
        heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.heirs.append((grant, heard))
        self.wake()
        await heard

    def _renew(self, grant: Grant, token: Token) -> None:
        grant.token, grant.fresh_until, grant.over, grant.renewed = token, self._fresh_until(token), False, True
        self.out[grant] = None

    def claimed(self) -> bool:
        """Whether a request waits for the next token."""
        while self.heirs and self.heirs[0][1].done():  # cancelled
            self.heirs.popleft()
        return bool(self.heirs)

    def hand_over(self, token: Token) -> bool:
        """Give a token to the request that waits for it, if one does."""
        if not self.claimed():
            return False
        grant, heard = self.heirs.popleft()
        self._renew(grant, token)
        heard.set_result(None)
        return True

    def stop(self) -> None:
        """Grant nothing more: who waits hears that its request does not depart."""
        self.stopped = True
        while self.claimed():
            self.heirs.popleft()[1].set_exception(Stale())


@attrs.define(eq=False)
class Grant:
    """A token for one request, until that has departed."""

    lane: Lane
    token: Token
    fresh_until: float
    """Moment of the event loop's clock until which the request may depart with it."""
    departed: bool = False
    over: bool = False
    """Whether it was given back, so that the request needs another to depart."""
    renewed: bool = False
    """Whether it is not the first one: the request waited for it."""

    @property
    def stale(self) -> bool:
        """Whether the request may not depart with it."""
        return self.over or self.lane.clock() > self.fresh_until

    def give_back(self) -> None:
        """Let others have the token, unless the request has departed."""
        if not self.departed and not self.over:
            self.over = True
            self.token.give_back()
            self.lane.settle(self)

    def depart(self) -> None:
        """Say that the request departs; once."""
        self.departed = True
        self.token.spent()
        self.lane.settle(self)

    def fits(self) -> bool:
        """Whether the request may depart now, with its token or another that is there."""
        if not self.stale:
            return True
        self.give_back()
        return self.lane.renew_now(self)

    async def renew(self) -> None:
        """Wait until the request may depart, with the next token. Raises `Stale` when there will be none."""
        while not self.fits():
            await self.lane.renew(self)
