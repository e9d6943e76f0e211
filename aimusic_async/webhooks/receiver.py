"""Doors of a web server for the service's deliveries: one for aiohttp, one for ASGI, and the judging that both share.

A door answers a genuine delivery once what follows from it is durable, and puts the service off when that takes long.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import attrs

from ..callbacks import job_of
from ..errors import ConfigurationError, InvalidPayload, InvalidSignature, StaleTimestamp, WebhookError
from ..events import Events, Verdict, WebhookReceived
from ..settings import check_positive
from .seen import Seen
from .signature import TOLERANCE, Headers, WebhookEvent, parse

if TYPE_CHECKING:
    from aiohttp import web

logger: logging.Logger = logging.getLogger("aimusic_async")

LIMIT = 1024 * 1024
"""Bytes of a body that a door takes."""

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


class Recipient(Protocol):
    """Whom a door hands genuine deliveries to; in practice an `aimusic_async.MusicSession` with a `webhook`.

    A door calls it from the event loop in which the web server runs: that has to be the recipient's own. One that has a
    method `check_loop`, as a session has, is asked first: what that raises reaches the web server, which answers 500.
    """

    @property
    def events(self) -> Events:
        """Where the door reports what came (`WebhookReceived`)."""
        ...

    def webhook_secret(self, job_id: str | None) -> str | None:
        """Return the secret of a delivery whose address names this job, or none; None without any webhook set up.

        It must answer also before the recipient is open: a door asks when it is made.
        """
        ...

    async def deliver(self, event: WebhookEvent, job_id: str | None) -> bool:
        """Take a genuine delivery; return True once it is durable, False when it is not, or nobody takes it (not open).

        `job_id` is the job whose secret signed it: what the event says of another job's task is to be ignored. The same
        event may come again, for example after a restart or through another door. Must not raise.
        """
        ...


def aiohttp_handler(
    music: Recipient, *, tolerance: float = TOLERANCE, limit: int = LIMIT
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return a handler for aiohttp: `app.router.add_post("/music", webhooks.aiohttp_handler(music))`.

    `tolerance`: seconds that the signing may be away from now. `limit`: bytes of a body. Raises `ConfigurationError`
    when `music` has no webhook set up.

    It answers 200 to what is genuine, whether its task is known or not, and to repetitions; 400 to what is no delivery,
    401 to a wrong or stale signature, 413 to too many bytes; 503 while `music` is not open, or when its journal does
    not store what the delivery says within five seconds (the service comes again). Cancelling it leaves open whether it
    was taken.
    """
    from aiohttp import http_exceptions, web  # noqa: PLC0415 - who uses another door, or `parse` alone, loads no web server

    door = _Door(music, tolerance, limit)

    async def handle(request: web.Request) -> web.Response:
        if request.method != "POST":
            return answered(_WRONG_METHOD)
        try:
            reader = request.clone(client_max_size=limit)  # our limit instead of the application's
        except RuntimeError:
            reader = request  # a middleware has read it
        try:
            body = await reader.read()
        except web.HTTPRequestEntityTooLarge:
            return answered(door.too_large())
        except (http_exceptions.HttpProcessingError, web.RequestPayloadError):
            return answered(door.unreadable())
        return answered(await door.judge(request.rel_url.raw_query_string, request.headers, body))

    def answered(answer: _Answer) -> web.Response:
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    return handle


def asgi_app(music: Recipient, *, tolerance: float = TOLERANCE, limit: int = LIMIT) -> AsgiDoor:
    """Return an ASGI application that does what `aiohttp_handler` does, at whatever path it stands.

    In Starlette and FastAPI as a route, `app.add_route("/music", webhooks.asgi_app(music), methods=["POST"])`, or
    mounted, `app.mount("/music", …)`: then the callback address ends with a slash, as such servers redirect the other
    spelling and the service need not follow. Alone, `uvicorn.run(webhooks.asgi_app(music))`, it must run in the event
    loop of `music`.
    """
    return AsgiDoor(_Door(music, tolerance, limit))


class AsgiDoor:
    """What `asgi_app` returns. An object and not a function: so frameworks see an application in it, no view."""

    def __init__(self, door: _Door) -> None:
        self._door = door

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one connection. Cancelling it before the body is read does nothing; later, only the answer is lost."""
        match scope["type"]:
            case "http":
                answer = await self._answer(scope, receive)
                if answer is not None:
                    await _respond(answer, send)
            case "lifespan":
                await _live(receive, send)
            case "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1003})
            case other:
                raise ValueError(f"a webhook door serves http, not {other!r}")

    async def _answer(self, scope: Mapping[str, Any], receive: Receive) -> _Answer | None:
        """Return what to answer, None when the caller has gone."""
        if scope["method"] != "POST":
            return _WRONG_METHOD
        body = bytearray()
        more = True
        while more and len(body) <= self._door.limit:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            more = message.get("more_body", False)
        query = scope.get("query_string", b"").decode("latin-1")
        return await self._door.judge(query, scope["headers"], bytes(body))


async def _respond(answer: _Answer, send: Send) -> None:
    headers = {**answer.headers, "content-length": str(len(answer.body))}
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})
    await send({"type": "http.response.body", "body": answer.body})


async def _live(receive: Receive, send: Send) -> None:
    """Follow a server from its start to its end; there is nothing to open or to close here."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


# --- what both doors share -----------------------------------------------------------------------------------------


@attrs.frozen
class _Answer:
    status: int
    text: str
    more: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def body(self) -> bytes:
        return json.dumps({"status": self.text}).encode()

    @property
    def headers(self) -> dict[str, str]:
        return {"Content-Type": "application/json", **self.more}


_WRONG_METHOD = _Answer(405, "post here", {"Allow": "POST"})
_STATUS = {
    Verdict.ACCEPTED: 200,
    Verdict.DUPLICATE: 200,
    Verdict.UNSIGNED: 401,
    Verdict.STALE: 401,
    Verdict.MALFORMED: 400,
    Verdict.TOO_LARGE: 413,
    Verdict.NOT_OPEN: 503,
}
_VERDICTS = {
    InvalidSignature: Verdict.UNSIGNED,
    StaleTimestamp: Verdict.STALE,
    InvalidPayload: Verdict.MALFORMED,
}


class _Door:
    """Judges deliveries; a method returns what to answer. One counts as seen once it is durable."""

    def __init__(self, recipient: Recipient, tolerance: float, limit: int) -> None:
        check_positive("tolerance", tolerance)
        check_positive("limit", limit)
        if recipient.webhook_secret(None) is None:
            raise ConfigurationError("no webhook is set up: MusicSession(webhook=WebhookConfig(url, secret))")
        self._recipient = recipient
        self._tolerance = tolerance
        self.limit = limit
        self._seen = Seen()
        self._under_way: set[str] = set()

    async def judge(self, query: str, headers: Headers, body: bytes) -> _Answer:
        """Judge a delivery, and hand it on when it is genuine and new."""
        self._check_loop()
        if len(body) > self.limit:
            return self.too_large()
        try:
            job_id = job_of(query)
        except ValueError:
            return self._refuse(Verdict.MALFORMED, "the address names no job")
        try:
            event = self._parse(job_id, headers, body)
        except WebhookError as error:
            return self._refuse(_VERDICTS[type(error)], str(error))
        if event is None:
            return self._refuse(Verdict.NOT_OPEN, "no webhook is set up")
        if self._seen.knows(event, job_id):
            return self._report(Verdict.DUPLICATE, event, job_id)
        if event.signature in self._under_way:  # not durable yet, so it may have to come again
            return self._report(Verdict.NOT_OPEN, event, job_id)
        self._under_way.add(event.signature)
        try:
            taken = await self._recipient.deliver(event, job_id)
        finally:
            self._under_way.discard(event.signature)
        if not taken:
            return self._report(Verdict.NOT_OPEN, event, job_id)
        self._seen.keep(event, job_id)
        return self._report(Verdict.ACCEPTED, event, job_id)

    def _parse(self, job_id: str | None, headers: Headers, body: bytes) -> WebhookEvent | None:
        # Apart, so that no frame that waits holds the secret.
        secret = self._recipient.webhook_secret(job_id)
        return None if secret is None else parse(headers, body, secret, tolerance=self._tolerance)

    def _check_loop(self) -> None:
        """Raise `WrongLoop` before anything changes; the web server answers 500, and the service comes again."""
        check: Callable[[], None] | None = getattr(self._recipient, "check_loop", None)
        if check is not None:
            check()

    def unreadable(self) -> _Answer:
        """Refuse what does not decode."""
        return self._refuse(Verdict.MALFORMED, "the body does not decode")

    def too_large(self) -> _Answer:
        """Refuse what has too many bytes."""
        return self._refuse(Verdict.TOO_LARGE, f"more than {self.limit} bytes")

    def _refuse(self, verdict: Verdict, reason: str) -> _Answer:
        """Say and log nothing of what came: it may be anybody's, and hold anything."""
        self._check_loop()
        logger.warning("webhook refused, %s: %s", verdict.value, reason)
        self._recipient.events.emit(WebhookReceived(verdict=verdict, reason=reason))
        return _Answer(_STATUS[verdict], verdict.value)

    def _report(self, verdict: Verdict, event: WebhookEvent, job_id: str | None) -> _Answer:
        level = logging.WARNING if verdict is Verdict.NOT_OPEN else logging.INFO
        what = (verdict.value, str(event.event), event.task_id, job_id, event.id)
        logger.log(level, "webhook %s: %.80r, task %.80r, job %r, id %.80r", *what)
        self._recipient.events.emit(
            WebhookReceived(verdict=verdict, id=event.id, event=event.event, task_id=event.task_id, job_id=job_id)
        )
        return _Answer(_STATUS[verdict], verdict.value)
