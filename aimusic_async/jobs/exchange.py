"""One request of a job: send it with a token, emit its events, and return what came of it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Protocol

import attrs

from ..api.request import Answer
from ..api.wire import Reply
from ..clock import Clock
from ..errors import MusicError, NotSent, TransportError
from ..events import Events, Purpose, RequestAnswered, RequestSent, logger
from ..transport.http import HttpTransport
from .balance import BalanceWatch
from .happenings import Answered, Failed, Sign
from .lanes import Grant, Stale
from .work import Work


class _Send(Protocol):
    def __call__(self, *, on_sent: Callable[[], None]) -> Awaitable[Reply]: ...


@attrs.frozen(eq=False)
class _Departure:
    """What the transport calls when a request is about to leave."""

    grant: Grant
    then: Callable[[], object]

    def ready(self) -> Awaitable[None] | None:
        """Return what to wait for before it may leave, None when it may."""
        return None if self.grant.fits() else self.grant.renew()

    def __call__(self) -> None:
        """Let it leave; raises `Stale` when its token is too old, and the transport could not wait for another."""
        if not self.grant.fits():
            raise Stale
        self.then()


class Exchange:
    """Sends the requests of one session, one by one, each with a token that somebody else took for it."""

    def __init__(self, transport: HttpTransport, clock: Clock, events: Events) -> None:
        self._transport = transport
        self._clock = clock
        self._events = events
        self._balance = BalanceWatch(events)

    def send(
        self, work: Work, more: Mapping[str, str], grant: Grant, departs: Callable[[Work], object]
    ) -> Coroutine[Any, Any, Answered | Failed | Sign]:
        """Send a submit or a call, with `more` fields; `departs` is called as it leaves, and may object.

        Returns `Sign.STALE` when it did not leave because its token was too old.
        """
        request = work.request
        assert request is not None
        purpose = Purpose.SUBMIT if request.answer is Answer.TASK else Purpose.CALL
        return self._exchange(work, purpose, partial(self._transport.send, request, more), grant, departs)

    def poll(self, work: Work, grant: Grant) -> Coroutine[Any, Any, Answered | Failed | Sign]:
        """Poll a task. As `send`. Cancelling breaks it off and costs nothing."""
        assert work.task_id is not None
        look = partial(self._transport.look, work.operation.endpoint.task_path(work.task_id))
        return self._exchange(work, Purpose.POLL, look, grant)

    async def _exchange(
        self, work: Work, purpose: Purpose, send: _Send, grant: Grant, departs: Callable[[Work], object] | None = None
    ) -> Answered | Failed | Sign:
        started, poll = self._clock.now(), purpose is Purpose.POLL

        def on_sent() -> None:
            if departs is not None:
                departs(work)
            grant.depart()
            self._events.emit(RequestSent(purpose, work.job))
            if not poll:  # which are free: the balance has nothing to do with them
                self._balance.departed(work)

        outcome: Answered | Failed | None = None
        try:
            reply = await send(on_sent=_Departure(grant, on_sent))
            if not grant.departed:  # something in the user's session answered by itself
                on_sent()
            outcome = answered = Answered(reply, poll)
        except MusicError as error:
            self._log(work, purpose, started, str(error))
            if isinstance(error, NotSent):
                grant.give_back()
                if isinstance(error, Stale) or isinstance(error.__cause__, Stale):
                    return Sign.STALE
            elif isinstance(error, TransportError):
                self._events.emit(RequestAnswered(purpose, work.job, None, self._clock.now() - started))
            outcome = Failed(error.with_traceback(None), poll)  # whose frames hold the secret of a webhook
            return outcome
        finally:
            if not poll:
                self._balance.over(work, outcome)
        self._log(work, purpose, started, reply.status)
        if self._events.listeners(RequestAnswered):
            seconds = self._clock.now() - started
            self._events.emit(RequestAnswered(purpose, work.job, reply.status, seconds, reply.headers))
        return answered

    def _log(self, work: Work, purpose: Purpose, started: float, came: object) -> None:
        """Log one request in one line, with nothing of its contents."""
        if not logger.isEnabledFor(logging.DEBUG):
            return
        endpoint, poll = work.operation.endpoint, purpose is Purpose.POLL
        method = "GET" if poll else endpoint.method
        path = endpoint.task_path(work.task_id or "") if poll else endpoint.path
        queued, work.queued_at = work.queued_at, None
        waited = "" if poll or queued is None else f", after {started - queued:.3f} s of waiting for a token"
        seconds = self._clock.now() - started
        logger.debug("%s %s: %s in %.3f s, for job %r%s", method, path, came, seconds, work.key, waited)
