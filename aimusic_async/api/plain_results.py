"""Results as plain data and back: for the answer of a web service, a queue, a message to another process. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import attrs

from ..errors import InvalidRequest
from . import results
from .forgiving import UNREADABLE

if TYPE_CHECKING:
    from cattrs import Converter

RESULT = "result"


@cache
def _classes() -> Mapping[str, type]:
    classes = [cls for cls in vars(results).values() if isinstance(cls, type) and attrs.has(cls)]
    return {re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower(): cls for cls in classes}


@cache
def _names() -> Mapping[type, str]:
    return {cls: name for name, cls in _classes().items()}


def is_result(value: object) -> bool:
    """Whether a value is a result of an operation, or a part of one such as a clip."""
    return type(value) in _names()


def to_plain(value: object) -> dict[str, Any]:
    """Return a result as plain data that JSON can hold; what is None is left out."""
    return {RESULT: _names()[type(value)], **_fields(value)}


def _fields(value: Any) -> dict[str, Any]:
    return {name: _plain(part) for name in attrs.fields_dict(type(value)) if (part := getattr(value, name)) is not None}


def _plain(part: Any) -> Any:
    if attrs.has(type(part)):
        return _fields(part)
    if isinstance(part, datetime):
        return part.isoformat()
    if isinstance(part, tuple):
        return [_plain(one) for one in part]
    return dict(part) if isinstance(part, Mapping) else part


def from_plain(data: Mapping[str, Any]) -> Any:
    """Build a result from what `to_plain` returned; raises `InvalidRequest` for anything else."""
    name = data.get(RESULT)
    cls = _classes().get(name) if isinstance(name, str) else None
    if cls is None:
        raise InvalidRequest(RESULT, f"must be one of {', '.join(_classes())}", name)
    fields = {field: value for field, value in data.items() if field != RESULT}
    try:
        return _reader().structure(fields, cls)
    except ExceptionGroup as errors:
        why = str(errors.exceptions[0]).partition("\n")[0]
    except UNREADABLE as error:
        why = repr(error)
    raise InvalidRequest(RESULT, f"must hold the fields of a {name} ({why})", fields)


@cache
def _reader() -> Converter:
    from cattrs import Converter  # noqa: PLC0415 - slow to load, and not every program needs it

    converter = Converter()
    converter.register_structure_hook(datetime, lambda text, _: datetime.fromisoformat(text))
    converter.register_structure_hook_func(lambda kind: kind == results.Raw, lambda raw, _: dict(raw))
    return converter
