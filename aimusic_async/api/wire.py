"""Between values and the wire: request → JSON, answer → result or error. Pure; forgiving in what it reads.

The service has a dozen answer shapes (`code` or none, `data` as list, object or missing, errors inside a 200, HTML on
a 502). Whatever comes, a function here returns a value or raises a `MusicError`, never anything else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum, StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

from ..errors import ApiError, ServerError, one_line
from .forgiving import UNREADABLE, maybe_text, number, structure
from .refusals import message_of, refusal
from .request import Answer, Request
from .results import FAILED, SUCCEEDED, Clip, Clips

if TYPE_CHECKING:
    from cattrs import Converter

R = TypeVar("R")


@attrs.frozen(kw_only=True)
class Reply:
    """An answer as it came over the wire, not interpreted yet."""

    status: int
    body: Any = None
    """The JSON value; None when the answer is not JSON."""
    text: str = ""
    """The beginning of an answer that is not JSON."""
    retry_after: float | None = None
    """Seconds, from the header of that name."""
    headers: Mapping[str, str] = attrs.field(factory=dict, eq=False)
    """Those that help to find out what happened, with names in small letters."""

    @classmethod
    def parse(
        cls, status: int, body: bytes, *, retry_after: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Read an answer's bytes; never fails."""
        seconds = number(retry_after)
        wait = seconds if seconds is not None and seconds >= 0 else None
        kept = headers or {}
        try:
            return cls(status=status, body=json.loads(body), retry_after=wait, headers=kept)
        except (ValueError, RecursionError):
            text = one_line(body[:200].decode(errors="replace"))
            return cls(status=status, text=text, retry_after=wait, headers=kept)

    @property
    def fields(self) -> Mapping[str, Any]:
        """The body's fields; empty when it is no object."""
        return self.body if isinstance(self.body, dict) else {}


class TaskState(Enum):
    """The state of a task."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class SongEvent(StrEnum):
    """What a webhook reports about a task: the word under `event` in its body, which otherwise is a poll's answer."""

    COMPLETED = "song.completed"
    """The task has succeeded."""
    FAILED = "song.failed"
    """The task has failed."""
    STREAMING = "song.streaming"
    """The task still runs, and its clips can be listened to (sonic only)."""


@attrs.frozen(kw_only=True)
class Progress(Generic[R]):
    """What one poll of a task showed."""

    state: TaskState
    result: R | None = None
    """Set when succeeded."""
    clips: tuple[Clip, ...] = ()
    """Clips seen so far, running ones included."""
    reason: str = ""
    """Why it failed."""
    refunded: bool | None = None
    """Whether the failure was refunded; None when the service did not say."""
    raw: Any = None


# --- request → JSON ------------------------------------------------------------------------------------------------


@cache
def _writer() -> Converter:
    from cattrs import Converter  # noqa: PLC0415 - heavy, and needed with the first request only

    return Converter(omit_if_default=True)


def given(request: Request[Any]) -> dict[str, Any]:
    """Return the fields that differ from their defaults, as JSON."""
    fields: dict[str, Any] = _writer().unstructure(request)
    return fields


def encode(request: Request[Any]) -> dict[str, Any]:
    """Return the JSON object to send: the fields that were given, and those that follow from them."""
    return {**request.endpoint.fixed, **request.derived(), **given(request)}


# --- answer → value ------------------------------------------------------------------------------------------------


def find_task_id(reply: Reply) -> str | None:
    """Return the id of a task that an answer names, whatever else it says."""
    data = reply.fields.get("data")
    for place in (reply.fields, data if isinstance(data, dict) else {}):
        task_id = place.get("task_id")
        if isinstance(task_id, str | int) and not isinstance(task_id, bool) and str(task_id).strip():
            return str(task_id)
    return None


def read_task_id(request: Request[Any], reply: Reply) -> str:
    """Return the id of the task that a submit made; raises `ApiError` when it was refused or makes no sense.

    An id counts whatever else the answer says: what may be paid for is not given away.
    """
    if (task_id := find_task_id(reply)) is not None:
        return task_id
    _raise_refusal(request, reply)
    raise _senseless(request, reply, "no task_id")


def read_now(request: Request[R], reply: Reply) -> R | None:
    """Return the result of an operation that is answered at once; None when it has to be asked again.

    Only what the service prepares (`Answer.REPEAT`) may be asked again: other calls would be paid twice.
    """
    repeatable = request.answer is Answer.REPEAT
    if repeatable and _not_ready(reply):
        return None
    _raise_refusal(request, reply)
    data = reply.fields.get("data")
    payload = {**reply.fields, **data} if isinstance(data, dict) else reply.fields
    try:
        return structure(payload, request.result_type(), raw=reply.fields)
    except UNREADABLE as error:
        if repeatable and reply.fields:
            return None
        raise _senseless(request, reply, str(error)) from error


def read_task(cls: type[Request[R]], task_id: str, reply: Reply) -> Progress[R]:
    """Return the state of a task, from a poll or a webhook; raises `ApiError` when the answer does not say it."""
    if _not_ready(reply):
        return Progress(state=TaskState.RUNNING, raw=reply.body)
    fields = reply.fields
    word = str(fields.get("status", "")).lower()  # producer and nuro say it once, for the whole task
    reason = message_of(fields)
    timed_out = "data" not in fields and (
        fields.get("type") == "timeout" or (reply.status == 504 and "due to timeout" in reason)
    )
    over = timed_out or fields.get("type") == "failed" or fields.get("refund_processed") is True
    over = over or (fields.get("event") == SongEvent.FAILED and not fields.get("data"))
    if over or (word in FAILED and reply.status < 300):
        return _failed(fields, reason or "the service gave no reason")
    _raise_refusal(cls, reply)
    if word in {"pending", "running"}:
        return Progress(state=TaskState.RUNNING, raw=reply.body)
    try:
        return _read_data(cls, task_id, fields)
    except UNREADABLE as error:
        raise _senseless(cls, reply, str(error)) from error


def _read_data(cls: type[Request[R]], task_id: str, fields: Mapping[str, Any]) -> Progress[R]:
    result_type = cls.result_type()
    data = fields.get("data")
    if issubclass(result_type, Clips):
        items = data if isinstance(data, list) else []
        if "data" not in fields and fields.keys() & {"status", "audio_url"}:
            items = [fields]  # nuro: one clip, spread over the body, without an id of its own
        elif data and isinstance(data, dict):
            items = [data]  # the same in a webhook's envelope
        return _read_clips(cls, result_type, task_id, fields, items)
    one = data[0] if isinstance(data, list) and data else data
    if "data" not in fields and _needed(result_type) <= fields.keys():
        one = fields  # the callback of an upload
    if not isinstance(one, dict) or not one:
        return Progress(state=TaskState.RUNNING, raw=fields)
    state = str(one.get("state") or "succeeded").lower()  # an entry without a state is final
    if state in FAILED:
        return _failed(fields, maybe_text(one.get("error_message")) or "the service gave no reason")
    if state not in SUCCEEDED:
        return Progress(state=TaskState.RUNNING, raw=fields)
    return Progress(state=TaskState.SUCCEEDED, result=structure(one, result_type, raw=fields), raw=fields)


def _needed(result_type: Any) -> set[str]:
    return {field.name for field in attrs.fields(result_type) if field.default is attrs.NOTHING}


def read_failure(fields: Mapping[str, Any]) -> Progress[Any]:
    """Return the progress that an answer about a failed task reports."""
    return _failed(fields, message_of(fields) or "the service gave no reason")


def _failed(fields: Mapping[str, Any], reason: str, clips: tuple[Clip, ...] = ()) -> Progress[Any]:
    refunded = _refunded(fields, reason)
    return Progress(state=TaskState.FAILED, clips=clips, reason=reason, refunded=refunded, raw=fields)


def _read_clips(
    cls: type[Request[Any]], result_type: Any, task_id: str, raw: Mapping[str, Any], data: list[Any]
) -> Progress[Any]:
    parts: list[Clip] = []
    full: list[Clip] = []
    joined = True
    for item in data:
        pair = "extended" in item or "replaced" in item
        part = (item.get("extended") or item.get("replaced") or {}) if pair else item
        parts.append(_read_clip(part, task_id if len(data) == 1 else "", raw))
        if pair and item.get("full"):
            full.append(_read_clip(item["full"], "", raw))
        elif pair and not parts[-1].failed:
            joined = False
    everything = (*parts, *full)
    if len(parts) < cls.endpoint.clips or not joined or not all(clip.succeeded or clip.failed for clip in everything):
        return Progress(state=TaskState.RUNNING, clips=everything, raw=raw)
    good = tuple(clip for clip in parts if clip.succeeded)
    bad = tuple(clip for clip in everything if clip.failed)
    if not good:
        reason = next((clip.error_message for clip in bad if clip.error_message), "every clip failed")
        return _failed(raw, reason, everything)
    joint: dict[str, Any] = {"full": tuple(clip for clip in full if clip.succeeded)} if full else {}
    result = result_type(task_id=task_id, clips=good, failed=bad, raw=raw, **joint)
    return Progress(state=TaskState.SUCCEEDED, result=result, clips=everything, raw=raw)


def _read_clip(item: Mapping[str, Any], only_id: str, task: Mapping[str, Any]) -> Clip:
    """Read one entry; one without an id is taken for one that is not final yet, unless it is the task's only one."""
    given = {name: value for name, value in item.items() if value is not None and value != ""}
    clip_id = given.setdefault("clip_id", only_id or "?")
    # An entry may omit its state: then the task's counts, or that it has its audio, unless the audio only streams.
    final = given.keys() & {"audio_url", "wav_url"} and task.get("event") != SongEvent.STREAMING
    given.setdefault("state", given.get("status") or task.get("status") or ("succeeded" if final else "running"))
    clip = structure(given, Clip, raw=item)
    return clip if clip_id != "?" else attrs.evolve(clip, state="pending")


def _not_ready(reply: Reply) -> bool:
    return reply.status < 300 and reply.fields.get("type") == "not_ready"


def _refunded(fields: Mapping[str, Any], reason: str) -> bool | None:
    said = fields.get("refund_processed")
    if isinstance(said, bool):
        return said
    lowered = reason.lower()
    return "not refunded" not in lowered if "refunded" in lowered else None


def _raise_refusal(request: Request[Any] | type[Request[Any]], reply: Reply) -> None:
    error = refusal(
        reply.status,
        reply.body,
        text=reply.text,
        retry_after=reply.retry_after,
        request=request,
        headers=reply.headers,
    )
    if error is not None:
        raise error


def _senseless(request: Request[Any] | type[Request[Any]], reply: Reply, why: str) -> ApiError:
    shown = reply.text or json.dumps(reply.body)[:200]
    message = f"the answer makes no sense ({why}): {shown}"
    return ServerError(message, status=reply.status, request=request, body=reply.body, headers=reply.headers)
