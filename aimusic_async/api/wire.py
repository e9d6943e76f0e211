"""Between values and the wire: request → JSON, answer → result or error. Pure; forgiving in what it reads.

The service has a dozen answer shapes (`code` or none, `data` as list, object or missing, errors inside a 200), and what
stands before it has more. Whatever comes, a function here returns a value or raises a `MusicError`, nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from ..errors import ApiError, GatewayError, ServerError
from .clips import failed, read_clips
from .forgiving import UNREADABLE, maybe_bool, structure
from .progress import Progress, SongEvent, TaskState
from .reasons import message_of, reason_of, reason_of_clip, shortened
from .refusals import refusal
from .reply import Reply, find_task_id
from .request import Answer, Request
from .results import Clips, settled
from .whose import is_of_the_service

if TYPE_CHECKING:
    from cattrs import Converter

__all__ = [
    "Progress",
    "Reply",
    "SongEvent",
    "TaskState",
    "encode",
    "find_task_id",
    "given",
    "read_failure",
    "read_now",
    "read_task",
    "read_task_id",
]

R = TypeVar("R")

_STILL = frozenset({"pending", "running"})
"""Words for a whole task that say that it runs, whatever else the answer holds."""
_DEEPEST_ENVELOPE = 3


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
        if repeatable and is_of_the_service(reply.status, reply.body):
            return None
        raise _senseless(request, reply, str(error)) from error


def read_task(cls: type[Request[R]], task_id: str, reply: Reply) -> Progress[R]:
    """Return the state of a task, from a poll or a webhook; raises `ApiError` when the answer does not say it."""
    if _not_ready(reply):
        return Progress(state=TaskState.RUNNING, raw=reply.body)
    fields = _unwrapped(reply.fields)
    status = settled(fields.get("status"))  # producer and nuro say it once, for the whole task
    reason = message_of(fields)
    timed_out = "data" not in fields and (
        fields.get("type") == "timeout" or (reply.status == 504 and "due to timeout" in reason)
    )
    over = fields.get("type") == "failed" or maybe_bool(fields.get("refund_processed")) is True
    over = over or (fields.get("event") == SongEvent.FAILED and not fields.get("data"))
    ours = is_of_the_service(reply.status, reply.body, poll=True)
    if ours and (timed_out or over or (status is False and reply.status < 300)):
        return failed(fields, reason_of(fields))
    _raise_refusal(cls, reply)
    if not ours:
        raise _senseless(cls, reply, "it is not the service's")
    if status is None and isinstance(fields.get("status"), str) and fields["status"].strip().lower() in _STILL:
        return Progress(state=TaskState.RUNNING, raw=reply.body)
    try:
        return _read_data(cls, task_id, fields)
    except UNREADABLE as error:
        raise _senseless(cls, reply, str(error)) from error


def _unwrapped(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of an answer in whose `data` stands the whole task, with the clips in `data` of its own."""
    for _ in range(_DEEPEST_ENVELOPE):
        inner = fields.get("data")
        if not isinstance(inner, dict) or "data" not in inner:
            break
        fields = {**fields, **inner}
    return fields


def _read_data(cls: type[Request[R]], task_id: str, fields: Mapping[str, Any]) -> Progress[R]:
    result_type = cls.result_type()
    data = fields.get("data")
    if issubclass(result_type, Clips):
        items = [one for one in data if isinstance(one, dict)] if isinstance(data, list) else []
        if "data" not in fields and fields.keys() & {"status", "audio_url"}:
            items = [dict(fields)]  # nuro: one clip, spread over the body, without an id of its own
        elif data and isinstance(data, dict):
            items = [data]  # the same in a webhook's envelope
        return read_clips(result_type, task_id, fields, items, least=cls.endpoint.clips)
    one = data[0] if isinstance(data, list) and data else data
    if "data" not in fields and _needed(result_type) <= fields.keys():
        one = fields  # the callback of an upload
    if not isinstance(one, dict) or not one:
        return Progress(state=TaskState.RUNNING, raw=fields)
    state = settled(one.get("state") or "succeeded")  # an entry without a state is final
    if state is False:
        return failed(fields, reason_of_clip(one) or reason_of(fields))
    if state is None:
        return Progress(state=TaskState.RUNNING, raw=fields)
    return Progress(state=TaskState.SUCCEEDED, result=structure(one, result_type, raw=fields), raw=fields)


def _needed(result_type: Any) -> set[str]:
    return {field.name for field in attrs.fields(result_type) if field.default is attrs.NOTHING}


def read_failure(fields: Mapping[str, Any]) -> Progress[Any]:
    """Return the progress that an answer about a failed task reports."""
    return failed(fields, reason_of(fields))


def _not_ready(reply: Reply) -> bool:
    return reply.status < 300 and reply.fields.get("type") == "not_ready"


def _raise_refusal(request: Request[Any] | type[Request[Any]], reply: Reply) -> None:
    error = refusal(
        reply.status,
        reply.body,
        text=reply.text,
        retry_after=reply.retry_after,
        location=reply.location,
        request=request,
        headers=reply.headers,
        poll=isinstance(request, type),
    )
    if error is not None:
        raise error


def _senseless(request: Request[Any] | type[Request[Any]], reply: Reply, why: str) -> ApiError:
    kind = ServerError if is_of_the_service(reply.status, reply.body) else GatewayError
    message = f"the answer makes no sense ({why}): {reply.text or shortened(reply.body)}"
    return kind(message, status=reply.status, request=request, body=reply.body, headers=reply.headers)
