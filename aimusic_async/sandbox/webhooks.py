"""What the service reports to an address about a task: which events, when, in which words and how signed. Pure."""

import hashlib
import hmac
import json
import uuid
from collections.abc import Sequence
from random import Random
from typing import Any, Literal

from attrs import frozen

from aimusic_async.sandbox import models, texts
from aimusic_async.sandbox.desk import Viewer, Visit, World
from aimusic_async.sandbox.rules import Body
from aimusic_async.sandbox.tasks import Task
from aimusic_async.sandbox.timing import stream

Event = Literal["song.streaming", "song.completed", "song.failed"]

_ADDRESSES = ("webhook_url", "callback_url")
_NOT_STREAMED = tuple(models.SONIC)[: tuple(models.SONIC).index("sonic-v5")]


@frozen(kw_only=True)
class Notice:
    """One event of a task, and where it is sent."""

    id: str
    event: Event
    task: Task
    request: Body
    """The body of the request that started the task."""
    url: str
    secret: str | None
    """What it is signed with; None: it is not signed."""
    callback: bool
    """Whether it goes to an upload's `callback_url`, which gets less."""
    at: float
    """Loop time of the event. The notice shows that moment, however late it goes out."""
    due: float
    """Loop time at which it goes out."""
    lost: bool
    doubled: bool


Errand = Sequence[Notice]
"""Notices of one task that go out one after the other."""


def errands(visit: Visit, task: Task) -> Sequence[Errand]:
    """Return the notices of a task that is being accepted; none unless its request gave an address."""
    operation, options, body = visit.operation, visit.options, visit.body
    named = [field.name for field in operation.fields if field.name in _ADDRESSES and field.name in body]
    if not named:
        return ()
    callback = named[0] == "callback_url"
    given = body.get("webhook_secret")  # uploads do not check it: they know no such field
    secret = given if given and isinstance(given, str) else None if callback else options.webhook_default_secret
    # Everything is drawn whatever the switches say, so that turning one moves nothing else.
    chance = stream(options.seed, visit.ordinal, "webhook")
    lag = chance.uniform(*options.webhook_delay) / options.speed
    disorder = chance.random() < options.webhook_disorder

    def notice(event: Event, at: float) -> Notice:
        return Notice(
            id=_new_id(chance),
            event=event,
            task=task,
            request=body,
            url=body[named[0]],
            secret=secret,
            callback=callback,
            at=at,
            due=at + lag,
            lost=chance.random() < options.webhook_lost,
            doubled=chance.random() < options.webhook_doubled,
        )

    last = notice("song.failed" if task.failed else "song.completed", task.ends_at)
    first = notice("song.streaming", task.shown_at)
    if not (options.webhook_streaming and _streams(task, body)):
        return ((last,),)
    return ((last, first),) if disorder else ((first,), (last,))


def _new_id(chance: Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def _streams(task: Task, body: Body) -> bool:
    """Whether a task's songs can be heard while they are being made: of the models only the newer ones do that."""
    mv = body.get("mv")
    streamed = isinstance(mv, str) and models.sonic_name(mv) not in _NOT_STREAMED
    return task.family == "sonic" and streamed and task.shown_at < task.ends_at


def content(world: World, view: Viewer, notice: Notice) -> bytes:
    """The exact bytes of a notice's body."""
    written = json.dumps(_body(world, view, notice), ensure_ascii=False, separators=(",", ":"))
    # JSON lets through half a surrogate pair, for which UTF-8 has no bytes; its escape reads the same.
    return written.encode("utf-8", "backslashreplace")


def _body(world: World, view: Viewer, notice: Notice) -> dict[str, Any]:
    task, asked = notice.task, notice.request
    platform = world.options.webhook_platform_word if task.family == "sonic" else task.family
    head = {"task_id": task.id, "platform": platform, "event": notice.event}
    if notice.event == "song.failed":
        return {**texts.failed_body(), **head}
    if notice.callback:
        return {"code": 200, "clip_id": task.clips[0].id, "message": "success", "task_id": task.id}
    shown = dict(view(world, task, notice.at).body)
    if notice.event == "song.streaming":
        shown["message"] = "streaming"
    if task.family == "nuro":
        shown["prompt"] = asked.get("description", "")
        shown |= {name: asked.get(name, "") for name in ("theme", "instrument")}
    return {**shown, **head}


def headers(notice: Notice, body: bytes, now: float, *, legacy: bool = False) -> dict[str, str]:
    """The headers of one attempt that is signed at `now` (Unix seconds); `legacy`: as in 2025, without id and time."""
    head = {"Content-Type": "application/json"}
    if legacy:
        return head if notice.secret is None else {**head, "X-Signature": _signature(notice.secret, body)}
    moment = str(int(now))
    head |= {
        "X-Webhook-Id": notice.id,
        "Idempotency-Key": notice.id,
        "X-Webhook-Event": notice.event,
        "X-Webhook-Timestamp": moment,
    }
    if notice.secret is not None:
        head["X-Webhook-Signature"] = "sha256=" + _signature(notice.secret, moment.encode() + b"." + body)
    return head


def _signature(secret: str, message: bytes) -> str:
    return hmac.new(secret.encode("utf-8", "replace"), message, hashlib.sha256).hexdigest()
