"""One request of a job: send it with a token, tell the listeners, and say what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from ..api.request import Answer
from ..api.wire import Reply
from ..clock import Clock
from ..errors import MusicError, NotSent, RateLimited, TransportError
from ..events import Events, Purpose, RefusedRepeatedly, RequestAnswered, RequestRefused, RequestSent, logger
from ..limiting.bucket import RateLimiter, Token
from ..scheduling.retry import pause
from ..transport.http import HttpTransport
from .happenings import Answered, Failed
from .work import Work

_REPEATEDLY = 3
"""Refusals for speed after which it is logged that the limit does not fit."""


class _Send(Protocol):
    def __call__(self, *, on_sent: Callable[[], None]) -> Awaitable[Reply]: ...


class Exchange:
    """Sends the requests of one session, one by one, each with a token that somebody else took for it."""

    def __init__(self, transport: HttpTransport, limiters: Sequence[RateLimiter], clock: Clock, events: Events) -> None:
        self._transport = transport
        self._limiters = limiters
        self._clock = clock
        self._events = events
        self._refusals = 0  # in a row
        self._incidents = 0  # since the session was opened
        self._paused_until = 0.0
        self._trouble = False

    async def send(
        self, work: Work, more: Mapping[str, str], token: Token, left: asyncio.Event, departed: Callable[[], None]
    ) -> Answered | Failed:
        """Send a submit or a call, with `more` fields; `left` is set, and `departed` called, when it has left."""
        request = work.request
        assert request is not None
        if work.ending is not None:  # given up since it was chosen, an instant ago
            token.give_back()
            return Failed(NotSent("given up before it was sent"))
        purpose = Purpose.SUBMIT if request.answer is Answer.TASK else Purpose.CALL
        return await self._exchange(work, purpose, partial(self._transport.send, request, more), token, left, departed)

    async def poll(self, work: Work, token: Token, left: asyncio.Event) -> Answered | Failed:
        """Poll a task; `left` is set when the request has left. Cancelling breaks it off and costs nothing."""
        assert work.task_id is not None
        look = partial(self._transport.look, work.operation.endpoint.task_path(work.task_id))
        return await self._exchange(work, Purpose.POLL, look, token, left, lambda: None)

    async def _exchange(
        self,
        work: Work,
        purpose: Purpose,
        send: _Send,
        token: Token,
        left: asyncio.Event,
        departed: Callable[[], None],
    ) -> Answered | Failed:
        started, poll = self._clock.now(), purpose is Purpose.POLL

        def on_sent() -> None:
            token.spent()
            left.set()
            departed()
            self._events.emit(RequestSent(purpose, work.job))

        try:
            reply = await send(on_sent=on_sent)
        except NotSent as error:
            token.give_back()
            return Failed(error, poll)
        except MusicError as error:
            if isinstance(error, TransportError):
                self._events.emit(RequestAnswered(purpose, work.job, None, self._clock.now() - started))
            return Failed(error, poll)
        self._events.emit(RequestAnswered(purpose, work.job, reply.status, self._clock.now() - started))
        return Answered(reply, poll)

    # --- what concerns all jobs --------------------------------------------------------------------------------------

    def went_well(self) -> None:
        """Note that the service answers."""
        self._refusals, self._trouble = 0, False

    def trouble(self, work: Work, error: MusicError) -> None:
        """Note a failure that passes; it is logged once, until something goes well again."""
        if not self._trouble:
            logger.warning("%s: %s; it is tried again", work.key, error)
        self._trouble = True

    def pause(self, work: Work, error: RateLimited) -> None:
        """Send nothing for a while."""
        now = self._clock.now()
        new = now >= self._paused_until  # several refused at once are one incident
        self._refusals += new
        self._incidents += new
        seconds = pause(error.retry_after, self._refusals)
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
