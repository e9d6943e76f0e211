"""Requests and results as plain data and back: for a journal, a manifest, a message to another process. Pure.

`to_plain(request)` gives `{"op": "sonic.create_music", …fields that were given…}`, `to_plain(song)`
`{"result": "song", …}`, which JSON can hold; `from_plain` builds the same again, a request with every check. Secrets
are omitted: they must not be stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from ..errors import InvalidRequest
from ..hiding import hide_arguments
from . import plain_results
from .operations import operations
from .request import Request
from .wire import given

OPERATION = "op"


def to_plain(request: Request[Any] | object) -> dict[str, Any]:
    """Return a request or a result as plain data that JSON can hold; a request without its secrets.

    Raises `InvalidRequest` for a value that is neither.
    """
    if not isinstance(request, Request):
        if not plain_results.is_result(request):
            raise InvalidRequest("value", "must be a request, or the result of one", request)
        return plain_results.to_plain(request)
    secrets = {spec.name for spec in request.fields() if spec.secret}
    return {
        OPERATION: request.operation,
        **{name: value for name, value in given(request).items() if name not in secrets},
    }


@hide_arguments
def from_plain(data: Mapping[str, Any]) -> Any:
    """Build a request or a result from plain data: what `to_plain` was given.

    Raises `InvalidRequest` for an unknown operation, result or field, or a wrong value.
    """
    if plain_results.RESULT in data and OPERATION not in data:
        return plain_results.from_plain(data)
    return request_from_plain(data)


@hide_arguments
def request_from_plain(data: Mapping[str, Any]) -> Request[Any]:
    """Build a request from plain data; raises `InvalidRequest` for anything else."""
    name = data.get(OPERATION)
    known = operations()
    if not isinstance(name, str) or name not in known:
        raise InvalidRequest(OPERATION, f"must name an operation{_meant(name, known)}", name)
    cls = known[name]
    specs = {spec.name: spec for spec in cls.fields()}
    values = {field: value for field, value in data.items() if field != OPERATION}
    for field, value in values.items():
        if field not in specs:
            raise InvalidRequest(field, f"is no field of it{_meant(field, specs)}", value, operation=name)
    for field, spec in specs.items():
        if spec.required and field not in values:
            raise InvalidRequest(field, "is required", None, operation=name)
        if spec.entry is not str and isinstance(values.get(field), list | tuple):
            values[field] = [_entry(one, spec.entry, field, name) for one in values[field]]
    return cls(**values)


def _entry(value: Any, cls: type, field: str, operation: str) -> Any:
    try:
        return cls(**value)
    except TypeError as error:
        raise InvalidRequest(field, f"must be a list of {cls.__name__}", value, operation=operation) from error


def _meant(word: object, known: Mapping[str, object]) -> str:
    close = get_close_matches(word, known, n=1) if isinstance(word, str) else []
    return f" (did you mean {close[0]}?)" if close else ""
