"""An answer as it came over the wire, not interpreted yet: bytes → JSON, forgiving in everything. Pure."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import attrs

from ..errors import one_line

_LONGEST_NUMBER = 4000
"""Digits; Python refuses to read much longer ones as whole numbers."""
_DEEPEST_ID = 4
"""Objects and lists around the id of a task, at most."""
_SHOWN = 200
"""Characters of what is no JSON that an error shows."""
# No longer than that, or looking for the end of what is none would take for ever.
_WRITTEN_ID = re.compile(rb'"task[_-]?id"\s*:\s*"?(?=[:.-]*\w)([\w:.-]{1,255})["\s,}]', re.IGNORECASE)
_ID = re.compile(r"(?=[:.-]*\w)[\w:.-]{1,255}")


@attrs.frozen(kw_only=True)
class Reply:
    """An answer of which nobody knows yet what it means, nor whose it is."""

    status: int
    body: Any = None
    """The JSON value; None when the answer is not JSON."""
    text: str = ""
    """The beginning of an answer that is not JSON."""
    retry_after: float | None = None
    """Seconds, from the header of that name."""
    location: str = ""
    """Where a redirect leads."""
    headers: Mapping[str, str] = attrs.field(factory=dict, eq=False)
    """Those that help to find out what happened, with names in small letters."""
    written_id: str | None = None
    """The id of a task that stands in an answer that is not JSON (cut off, say)."""

    @classmethod
    def parse(
        cls,
        status: int,
        body: bytes,
        *,
        retry_after: str | None = None,
        date: str | None = None,
        location: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Read an answer's bytes and headers; never fails. `date`: the header of that name, for `retry_after`."""
        wait, target, kept = seconds_until(retry_after, date), one_line(location or "")[:_SHOWN], headers or {}
        try:
            return cls(status=status, body=read_json(body), retry_after=wait, location=target, headers=kept)
        except (ValueError, RecursionError):
            text = one_line(body[:_SHOWN].decode(errors="replace"))
            written = _WRITTEN_ID.search(body)
            named = written[1].decode(errors="replace") if written else None
            return cls(status=status, text=text, retry_after=wait, location=target, headers=kept, written_id=named)

    @property
    def fields(self) -> Mapping[str, Any]:
        """The body's fields; empty when it is no object."""
        return self.body if isinstance(self.body, dict) else {}


def read_json(data: bytes) -> Any:
    """Read JSON; bytes that are no text are replaced, and control characters in texts are let through.

    Raises `ValueError`, or `RecursionError` where it nests too deeply.
    """
    try:
        text = data.decode(json.detect_encoding(data), "surrogatepass")
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
    return _DECODER.decode(text.removeprefix("\ufeff"))


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else math.inf


_DECODER = json.JSONDecoder(strict=False, parse_int=_whole)


def number(value: Any) -> float | None:
    """Read a number that may be written as text; what is no finite number is absent."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        read = float(value)
    except (ValueError, OverflowError):
        return None
    return read if math.isfinite(read) else None


def seconds_until(retry_after: str | None, date: str | None = None) -> float | None:
    """Return how long a `Retry-After` asks to wait, which names seconds or a time; None when nobody can read it.

    A time is compared with the answer's own `Date`: the clock of this machine may be wrong.
    """
    if (seconds := number(retry_after)) is not None:
        return seconds if seconds >= 0 else None
    moment = _moment(retry_after)
    if moment is None:
        return None
    now = _moment(date)
    return max(moment - (time.time() if now is None else now), 0.0)


def _moment(header: str | None) -> float | None:
    try:
        return parsedate_to_datetime(header or "").timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


# --- the id of a task ------------------------------------------------------------------------------------------------


def find_task_id(reply: Reply) -> str | None:
    """Return the id of a task that an answer names, whatever else it says, and however it spells the field."""
    return task_id_in(reply.body) or reply.written_id


def task_id_in(body: Any) -> str | None:
    """Return the id of a task out of a JSON value: from where the service puts it, else the outermost there is."""
    fields = body if isinstance(body, dict) else {}
    data = fields.get("data")
    for place in (fields, data if isinstance(data, dict) else {}):
        if (task_id := as_id(place.get("task_id"))) is not None:
            return task_id
    return next(_ids(body), None)


def _ids(body: Any) -> Iterator[str]:
    """Yield all that is called the id of a task, the outermost first."""
    level = [body]
    for _ in range(_DEEPEST_ID):
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                named = (as_id(value) for name, value in one.items() if means_task_id(name))
                yield from (value for value in named if value is not None)
                inner += one.values()
            elif isinstance(one, list):
                inner += one
        level = [one for one in inner if isinstance(one, dict | list)]


def is_task_id(text: str) -> bool:
    """Whether a text can be the id of a task: it stands in addresses and in names of files."""
    return _ID.fullmatch(text) is not None


def means_task_id(name: str) -> bool:
    """Whether a field of that name holds the id of a task, however it is spelt."""
    return name.lower().replace("_", "").replace("-", "") == "taskid"


def as_id(value: Any) -> str | None:
    """Return an id, which may be a number; None when it is none."""
    if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
        return str(value).strip()
    return None
