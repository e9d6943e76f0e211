"""One request of a job: send it with a token, emit its events, and return what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Protocol

import attrs

from ..api.request import Answer
from ..api.wire import Reply
from ..clock import Clock
from ..errors import MusicError, NotSent, TransportError
from ..events import Events, Purpose, RequestAnswered, RequestSent
from ..limiting.bucket import Token
from ..transport.http import HttpTransport
from .happenings import Answered, Failed
from .work import Work


class _Send(Protocol):
    def __call__(self, *, on_sent: Callable[[], None]) -> Awaitable[Reply]: ...


@attrs.frozen(eq=False)
class Grant:
    """A token for one request, and the event that says that the request has left."""

    token: Token
    left: asyncio.Event = attrs.field(factory=asyncio.Event)

    def give_back(self) -> None:
        """Let others have the token, unless the request has left."""
        if not self.left.is_set():
            self.token.give_back()
            self.left.set()


class Exchange:
    """Sends the requests of one session, one by one, each with a token that somebody else took for it."""

    def __init__(self, transport: HttpTransport, clock: Clock, events: Events) -> None:
        self._transport = transport
        self._clock = clock
        self._events = events

    def send(
        self, work: Work, more: Mapping[str, str], grant: Grant, departs: Callable[[Work], object]
    ) -> Coroutine[Any, Any, Answered | Failed]:
        """Send a submit or a call, with `more` fields; `departs` is called as it leaves, and may object."""
        request = work.request
        assert request is not None
        purpose = Purpose.SUBMIT if request.answer is Answer.TASK else Purpose.CALL
        return self._exchange(work, purpose, partial(self._transport.send, request, more), grant, departs)

    def poll(self, work: Work, grant: Grant) -> Coroutine[Any, Any, Answered | Failed]:
        """Poll a task. Cancelling breaks it off and costs nothing."""
        assert work.task_id is not None
        look = partial(self._transport.look, work.operation.endpoint.task_path(work.task_id))
        return self._exchange(work, Purpose.POLL, look, grant)

    async def _exchange(
        self, work: Work, purpose: Purpose, send: _Send, grant: Grant, departs: Callable[[Work], object] | None = None
    ) -> Answered | Failed:
        started, poll = self._clock.now(), purpose is Purpose.POLL

        def on_sent() -> None:
            if departs is not None:
                departs(work)
            grant.token.spent()
            grant.left.set()
            self._events.emit(RequestSent(purpose, work.job))

        try:
            reply = await send(on_sent=on_sent)
        except MusicError as error:
            if isinstance(error, NotSent):
                grant.give_back()
                return Failed(error.with_traceback(None), poll)
            if isinstance(error, TransportError):
                self._events.emit(RequestAnswered(purpose, work.job, None, self._clock.now() - started))
            return Failed(error.with_traceback(None), poll)  # whose frames hold the secret of a webhook
        if not grant.left.is_set():  # something in the user's session answered by itself
            on_sent()
        if self._events.listeners(RequestAnswered):
            seconds = self._clock.now() - started
            self._events.emit(RequestAnswered(purpose, work.job, reply.status, seconds, reply.headers))
        return Answered(reply, poll)
