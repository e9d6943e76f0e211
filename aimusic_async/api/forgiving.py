"""Reads values that may be written in many ways: absent or odd ones are None, missing required ones raise. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from .results import AlignedWord, Raw

if TYPE_CHECKING:
    from cattrs import Converter

R = TypeVar("R")

UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, IndexError)
"""What `structure` raises when a required value is missing."""


def structure(payload: Mapping[str, Any], cls: type[R], *, raw: Mapping[str, Any]) -> R:
    """Build a result from its part of an answer, and keep `raw`, the service's own words, with it.

    Raises one of `UNREADABLE` for what misses a value that it needs, or says itself that it is not ready.
    """
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


def number(value: Any) -> float | None:
    """Read a number that may be written as text; what is no finite number is absent."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        read = float(value)
    except (ValueError, OverflowError):
        return None
    return read if math.isfinite(read) else None


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


def _ignoring_kind(read: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda value, _: read(value)


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
        bool | None: lambda value: value if isinstance(value, bool) else None,
    }
    # Each field gets its function once, when its class is first used: dispatching on a union per value costs far more.
    reader.register_structure_hook_factory(
        lambda kind: not isinstance(kind, type) and kind in exact, lambda kind: _ignoring_kind(exact[kind])
    )

    empty_too = override(struct_hook=lambda value, _: str(value))
    reader.register_structure_hook(AlignedWord, make_dict_structure_fn(AlignedWord, reader, word=empty_too))
    return reader
