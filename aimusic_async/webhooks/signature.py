"""Is a delivery genuine, and what does it say? Pure: headers, body, secret and time in, a `WebhookEvent` or error out.

The service signs `timestamp + "." + body` with the secret of the task, and nothing else: no header but the timestamp
can be believed. So everything in a `WebhookEvent` comes out of what was signed, but for the `id`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import attrs

from ..api.progress import SongEvent
from ..api.reply import Reply, as_id, is_task_id, means_task_id, read_json
from ..errors import ConfigurationError, InvalidPayload, InvalidSignature, StaleTimestamp
from ..hiding import hide_arguments

Headers: TypeAlias = (
    Mapping[str, str] | Mapping[bytes, bytes] | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]]
)

ID = "x-webhook-id"
ID_TOO = "idempotency-key"
TIMESTAMP = "x-webhook-timestamp"
SIGNATURE = "x-webhook-signature"
OLD_SIGNATURE = "x-signature"
_NAMES = frozenset({ID, ID_TOO, TIMESTAMP, SIGNATURE, OLD_SIGNATURE})

TOLERANCE = 300.0
"""Seconds that a delivery may be away from now."""

_HEX = re.compile(r"(?:sha256=)?([0-9a-f]{64})", re.IGNORECASE | re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,9})?")
_LONGEST_ID = 255
"""Characters of the id of a delivery."""
_PLATFORMS = {"suno": "sonic"}  # the older pages' word


@attrs.frozen(kw_only=True)
class WebhookEvent:
    """A genuine delivery: something happened to a task.

    `id` is the service's name for the delivery; a repeated one has the same. It is the only field that the signature
    does not cover: good to recognize a repetition, and for nothing else.
    """

    id: str
    event: SongEvent | str | None
    """A `SongEvent`, or a word that is not known here yet."""
    task_id: str | None
    platform: str | None
    """`sonic`, `producer`, `nuro`, or a word that is not known here yet."""
    timestamp: float | None
    """When it was signed, in seconds since 1970; None in the old form, which does not say."""
    signature: str = attrs.field(repr=False)
    """What was computed and found right, as 64 hex characters: no two different deliveries have the same."""
    body: Mapping[str, Any] = attrs.field(repr=False, eq=False)
    """The whole JSON object."""

    @property
    def reply(self) -> Reply:
        """The body as an answer to a poll, which it is but for a few fields: `api.wire.read_task` understands it."""
        return Reply(status=200, body=self.body)


@hide_arguments
def parse(
    headers: Headers,
    body: bytes,
    secret: str,
    *,
    tolerance: float = TOLERANCE,
    now: float | None = None,
    legacy: bool = False,
) -> WebhookEvent:
    """Check a delivery and return what it says. Needs no session and no event loop.

    `headers`: as your web server gives them; names in any case, text or bytes. `body`: the bytes as they came, before
    anybody decoded them. `secret`: that of the task. `tolerance`: how many seconds the signing may be away from `now`,
    in seconds since 1970 (default: this machine's clock). `legacy`: check the old form instead, a header `X-Signature`
    over the body alone; it has no time, so a recorded delivery can be sent again for ever.

    Raises `InvalidSignature` unless the service signed just this, `StaleTimestamp` for what it signed too long ago or
    in the future, `InvalidPayload` for what is signed and still no delivery; no other error, whatever is delivered.
    A `secret` that is empty or no string is a mistake of the receiver: `ConfigurationError`.
    """
    if not isinstance(secret, str) or not secret:
        raise ConfigurationError("a webhook's secret must be a string, and not empty")
    if not isinstance(body, bytes):
        raise InvalidPayload(f"the body must be the bytes as they came, not {type(body).__name__}")
    found = _read(headers)
    if legacy:
        signature = _checked(found.get(OLD_SIGNATURE), body, secret, OLD_SIGNATURE)
        return _event(found.get(ID) or found.get(ID_TOO) or signature, None, signature, body)
    stamp = found.get(TIMESTAMP)
    if not stamp or not stamp.isascii():
        raise InvalidSignature(
            f"there is no {TIMESTAMP} header" if not stamp else f"the {TIMESTAMP} header is no number"
        )
    signature = _checked(found.get(SIGNATURE), _message(stamp, body), secret, SIGNATURE)
    seconds = _fresh(stamp, time.time() if now is None else now, tolerance)
    return _event(found.get(ID) or found.get(ID_TOO) or "", seconds, signature, body)


def sign(body: bytes, secret: str, timestamp: int | str) -> str:
    """Return the `X-Webhook-Signature` that the service would send, `sha256=…`: for tests, and to see what went wrong.

    `timestamp`: the `X-Webhook-Timestamp` header, seconds since 1970.
    """
    return f"sha256={_digest(_message(str(timestamp), body), secret)}"


def _message(stamp: str, body: bytes) -> bytes:
    return stamp.encode() + b"." + body


def _digest(message: bytes, secret: str) -> str:
    return hmac.new(secret.encode("utf-8", "surrogatepass"), message, hashlib.sha256).hexdigest()


def _read(headers: Headers) -> dict[str, str]:
    """Return our headers by their lower-case names; what is said twice in two ways is a forgery or a broken proxy."""
    found: dict[str, str] = {}
    try:
        pairs: Iterable[Any] = headers.items() if isinstance(headers, Mapping) else headers
        for raw_name, raw_value in pairs:
            name = _text(raw_name).lower()
            if name in _NAMES:
                value = _text(raw_value).strip()
                if found.setdefault(name, value) != value:
                    raise InvalidSignature(f"the {name} header comes twice")
    except (TypeError, ValueError):
        raise InvalidSignature("the headers are no pairs of names and values") from None
    return found


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, str):
        return value
    raise TypeError


def _checked(given: str | None, message: bytes, secret: str, header: str) -> str:
    """Return the right signature of a message, when that is what was given."""
    if not given:
        raise InvalidSignature(f"there is no {header} header")
    written = _HEX.fullmatch(given)
    if not written:
        raise InvalidSignature(f"the {header} header is no sha256 in hex")
    expected = _digest(message, secret)
    if not hmac.compare_digest(written[1].lower(), expected):
        raise InvalidSignature("the signature does not fit: another secret, or not the bytes that were signed")
    return expected


def _fresh(stamp: str, now: float, tolerance: float) -> float:
    if not _SECONDS.fullmatch(stamp):
        raise StaleTimestamp(f"the {TIMESTAMP} header is no time in seconds")
    seconds = float(stamp)
    if not abs(now - seconds) <= tolerance:  # so written, a NaN is refused
        when = f"{now - seconds:.0f} s ago" if seconds < now else f"{seconds - now:.0f} s in the future"
        raise StaleTimestamp(f"it was signed {when}; {tolerance:g} s are allowed")
    return seconds


def _event(delivery_id: str, timestamp: float | None, signature: str, body: bytes) -> WebhookEvent:
    if not delivery_id or len(delivery_id) > _LONGEST_ID or not delivery_id.isascii() or not delivery_id.isprintable():
        raise InvalidPayload(f"there is no usable {ID} header")
    try:
        fields = read_json(body)
    except (ValueError, RecursionError):
        raise InvalidPayload("the body is no JSON") from None
    if not isinstance(fields, dict):
        raise InvalidPayload("the body is no JSON object")
    event, platform, task_id = (_said(fields, name) for name in ("event", "platform", "task_id"))
    if task_id is not None and not is_task_id(task_id):
        raise InvalidPayload("task_id in the body is no id")
    task_id = task_id or _id_spelt_otherwise(fields)
    if task_id is None and event is None:
        raise InvalidPayload("the body names neither a task nor an event")
    platform = platform.lower() if platform else None
    return WebhookEvent(
        id=delivery_id,
        event=SongEvent(event) if event in set(SongEvent) else event,
        task_id=task_id,
        platform=_PLATFORMS.get(platform, platform) if platform else None,
        timestamp=timestamp,
        signature=signature,
        body=fields,
    )


def _id_spelt_otherwise(fields: Mapping[str, Any]) -> str | None:
    """Return what can only be the task's id, under `taskId` and the like."""
    data = fields.get("data")
    places = (fields, data if isinstance(data, dict) else {})
    named = (as_id(value) for place in places for name, value in place.items() if means_task_id(name))
    return next((one for one in named if one and is_task_id(one)), None)


def _said(fields: Mapping[str, Any], name: str) -> str | None:
    """Return a word that stands at the top or under `data`; None when it is absent or empty."""
    data = fields.get("data")
    for place in (fields, data if isinstance(data, dict) else {}):
        value = place.get(name)
        if value is None or value == "":
            continue
        if isinstance(value, bool) or not isinstance(value, str | int) or len(str(value)) > _LONGEST_ID:
            raise InvalidPayload(f"{name} in the body is no short text")
        return str(value)
    return None
