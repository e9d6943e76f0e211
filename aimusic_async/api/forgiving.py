"""Reads values that may be written in many ways. Pure.

What is absent or odd is its field's default, an odd entry of a list is left out, a missing required value raises. What
was left out stays in `raw`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

import attrs

from .reply import number
from .results import AlignedWord, Credits, Raw, TagSuggestion

if TYPE_CHECKING:
    from cattrs import Converter

R = TypeVar("R")

_LISTS: tuple[Any, ...] = (tuple,)
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, IndexError)
"""What `structure` raises when a required value is missing."""


def structure(payload: Mapping[str, Any], cls: type[R], *, raw: Mapping[str, Any]) -> R:
    """Build a result from its part of an answer, and keep `raw`, the service's own words, with it.

    Raises one of `UNREADABLE` for what misses a value that it needs, or says itself that it is not ready.
    """
    if cls is Credits and number(payload.get("credits")) is None and number(payload.get("extra_credits")) is not None:
        payload = {**payload, "credits": 0}  # one of the two pots can be read
    made: R = _reader().structure({**payload, "raw": raw}, cls)
    if not getattr(made, "ready", True):
        raise ValueError("it is not ready")
    return made


def _text(value: Any) -> str:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"expected text, found {type(value).__name__}")


def _needed_number(value: Any) -> float:
    read = number(value)
    if read is None:
        raise ValueError(f"expected a number, found {type(value).__name__}")
    return read


def _moment(value: Any) -> datetime | None:
    """Read a time with milliseconds or microseconds; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(value)
    except (ValueError, TypeError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def maybe_text(value: Any) -> str | None:
    """Read a text; what is empty, or no text at all, is absent."""
    if isinstance(value, str):
        return value or None
    return None if value is None or isinstance(value, bool | list | dict) else str(value)


def maybe_bool(value: Any) -> bool | None:
    """Read a yes or no that may be written as text; what is neither is absent."""
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower())
    return value if isinstance(value, bool) else None


def _ignoring_kind(read: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda value, _: read(value)


def _written(value: Any) -> str:
    """Read a text that may be empty; nothing at all is not."""
    if isinstance(value, str):
        return value
    return _text(value)


@cache
def _reader() -> Converter:
    from cattrs import Converter  # noqa: PLC0415 - heavy, and needed with the first answer only
    from cattrs.gen import make_dict_structure_fn, override  # noqa: PLC0415 - as above

    reader = Converter(detailed_validation=False)
    reader.register_structure_hook(str, lambda value, _: _text(value))
    reader.register_structure_hook(float, lambda value, _: _needed_number(value))
    reader.register_structure_hook(int, lambda value, _: int(_needed_number(value)))
    exact: dict[Any, Any] = {
        Raw: lambda value: value,
        str | None: maybe_text,
        float | None: number,
        datetime | None: _moment,
        bool | None: maybe_bool,
    }
    # Each field gets its function once, when its class is first used: dispatching on a union per value costs far more.
    reader.register_structure_hook_factory(
        lambda kind: not isinstance(kind, type) and kind in exact, lambda kind: _ignoring_kind(exact[kind])
    )
    maybe_empty = override(struct_hook=lambda value, _: _written(value))
    special: dict[type, dict[str, Any]] = {
        AlignedWord: {"word": maybe_empty},
        TagSuggestion: {"upsampled_tags": maybe_empty},
    }

    def of_class(cls: type) -> Callable[[Any, Any], Any]:
        quickly: Callable[[Any, Any], Any] = make_dict_structure_fn(cls, reader, **special.get(cls, {}))
        return lambda value, _: _leniently(reader, cls, value, quickly)

    def of_list(kind: Any) -> Callable[[Any, Any], Any]:
        (entry, _) = get_args(kind)
        return _readable_entries(reader.get_structure_hook(entry), entry)

    reader.register_structure_hook_factory(attrs.has, of_class)
    reader.register_structure_hook_factory(lambda kind: get_origin(kind) in _LISTS, of_list)
    return reader


def _leniently(reader: Converter, cls: Any, value: Any, quickly: Callable[[Any, Any], Any]) -> Any:
    """Read an object; a field that has a default gets it where the object holds null, or what nobody can read."""
    if not isinstance(value, Mapping):
        raise TypeError(f"expected an object, found {type(value).__name__}")
    with suppress(*UNREADABLE):
        return quickly(value, cls)
    readable = dict(value)
    for field in attrs.fields(cls):
        if field.default is attrs.NOTHING or field.name not in value:
            continue
        try:
            reader.get_structure_hook(field.type)(value[field.name], field.type)
        except UNREADABLE:
            del readable[field.name]
    return quickly(readable, cls)


def _readable_entries(read: Callable[[Any, Any], Any], kind: Any) -> Callable[[Any, Any], Any]:
    """Return what reads a list: entries that nobody can read are left out, unless all of them are such."""

    def read_list(value: Any, _: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise TypeError(f"expected a list, found {type(value).__name__}")
        entries: list[Any] = []
        for one in value:
            try:
                entries.append(read(one, kind))
            except UNREADABLE:
                continue
        if value and not entries:
            raise ValueError("none of the entries can be read")
        return tuple(entries)

    return read_list
