"""The limits that a request's field states in its annotation, and the check that reads them.

A field is written `title: Annotated[str, MaxLength(80)] | None = None`. The annotation is the only place that says it:
the check before sending, the command line and the documentation all read it from there.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, Protocol, Union, get_args, get_origin, get_type_hints

import attrs

from ..errors import InvalidRequest
from ..settings import is_loopback, scheme_and_host


class Limit(Protocol):
    """One rule of a field."""

    def broken(self, value: Any) -> str | None:
        """Return the rule in words ("must be …") when `value` breaks it, else None."""


@attrs.frozen
class MaxLength:
    """At most this many characters."""

    characters: int

    def broken(self, value: str) -> str | None:
        """See `Limit.broken`."""
        if len(value) <= self.characters:
            return None
        return f"must be at most {self.characters} characters long, is {len(value)}"


@attrs.frozen
class NotEmpty:
    """Not only white space."""

    def broken(self, value: str) -> str | None:
        """See `Limit.broken`."""
        return None if value.strip() else "must not be empty"


@attrs.frozen
class Between:
    """A number in a range that includes both ends; NaN is never in it."""

    least: float
    most: float = math.inf

    def broken(self, value: float) -> str | None:
        """See `Limit.broken`."""
        if self.least <= value <= self.most and _finite(value):
            return None
        if math.isinf(self.most):
            return f"must be a finite number of at least {self.least:g}"
        return f"must be a number between {self.least:g} and {self.most:g}"


@attrs.frozen
class Above:
    """A finite number greater than this."""

    bound: float

    def broken(self, value: float) -> str | None:
        """See `Limit.broken`."""
        return None if value > self.bound and _finite(value) else f"must be a number above {self.bound:g}"


@attrs.frozen
class Items:
    """A list of this many entries."""

    least: int
    most: int

    def broken(self, value: Sequence[object]) -> str | None:
        """See `Limit.broken`."""
        if self.least <= len(value) <= self.most:
            return None
        wanted = f"exactly {self.least}" if self.least == self.most else f"{self.least} to {self.most}"
        return f"must hold {wanted} entries, holds {len(value)}"


@attrs.frozen
class OneOf:
    """One of these texts, letter by letter."""

    values: tuple[str, ...]

    def broken(self, value: str) -> str | None:
        """See `Limit.broken`."""
        return None if value in self.values else f"must be {' or '.join(map(repr, self.values))}, not {value!r}"


@attrs.frozen
class WebUrl:
    """An address that the service can reach."""

    def broken(self, value: str) -> str | None:
        """See `Limit.broken`."""
        return None if scheme_and_host(value)[1] else "must be an https:// or http:// address"


@attrs.frozen
class HookUrl:
    """An address that the service may call: https, or http on this machine; at most 1024 characters."""

    def broken(self, value: str) -> str | None:
        """See `Limit.broken`."""
        scheme, host = scheme_and_host(value)
        if not host or (scheme == "http" and not is_loopback(host)):
            return "must be an https:// address"
        return MaxLength(1024).broken(value)


@attrs.frozen
class Doc:
    """What a field is for, in one line: shown by `--help` and in the documentation."""

    text: str


@attrs.frozen
class FieldSpec:
    """One field of a request class, as its annotation and default state it."""

    name: str
    kind: type | tuple[object, ...]
    """`str`, `bool`, `int`, `float`, `list`, or a tuple of the literal values that are allowed."""
    entry: type
    """The type of a list's entries: `str`, or an attrs class. `str` for other fields."""
    optional: bool
    required: bool
    limits: tuple[Limit, ...]
    doc: str
    entry_limits: tuple[Limit, ...]
    """Rules for each entry of a list."""
    secret: bool
    """Never shown, not even in an error."""

    def broken(self, value: object) -> str | None:
        """Return what is wrong with `value` in words, or None."""
        if value is None and self.optional:
            return None
        if isinstance(self.kind, tuple):
            if value in self.kind and isinstance(value, str):
                return None
            return "must be " + " or ".join(repr(one) for one in self.kind)
        if self.kind is list:
            if not isinstance(value, tuple) or not all(isinstance(one, self.entry) for one in value):
                return (
                    f"must be a list of {'strings' if self.entry is str else self.entry.__name__}, not {_named(value)}"
                )
        elif not _KINDS[self.kind][0](value):
            return f"must be {_KINDS[self.kind][1]}, not {_named(value)}"
        return _first_broken(self.limits, value) or (self.kind is list and self._entry_broken(value)) or None

    def _entry_broken(self, entries: Any) -> str | None:
        rule = next((rule for one in entries if (rule := _first_broken(self.entry_limits, one))), None)
        return f"must hold entries each of which {rule}" if rule else None


def _first_broken(limits: Sequence[Limit], value: object) -> str | None:
    return next((rule for limit in limits if (rule := limit.broken(value))), None)


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float can hold
        return False


def _named(value: object) -> str:
    if isinstance(value, tuple) and value:
        return "one that holds " + ", ".join(sorted({type(one).__name__ for one in value}))
    return type(value).__name__


def listed(entries: Sequence[str]) -> Sequence[str]:
    """Turn a list into a tuple, so that requests are hashable; the check refuses anything else."""
    return tuple(entries) if isinstance(entries, list) else entries


_KINDS: dict[type, tuple[Callable[[object], bool], str]] = {
    str: (lambda value: isinstance(value, str), "a string"),
    bool: (lambda value: isinstance(value, bool), "True or False"),
    int: (lambda value: isinstance(value, int) and not isinstance(value, bool), "a whole number"),
    float: (lambda value: isinstance(value, int | float) and not isinstance(value, bool), "a number"),
}


def field_specs(cls: type) -> tuple[FieldSpec, ...]:
    """Read the fields of an attrs class from its annotations, in the order in which they were written."""
    hints = get_type_hints(cls, include_extras=True)
    return tuple(
        _spec(field.name, hints[field.name], required=field.default is attrs.NOTHING, secret=not field.repr)
        for field in attrs.fields(cls)
    )


def _spec(name: str, hint: Any, *, required: bool, secret: bool) -> FieldSpec:
    kind: type | tuple[object, ...] | None = None
    entry: type = str
    optional = False
    extras: list[object] = []
    entry_extras: list[object] = []

    def unwrap(part: Any) -> None:
        nonlocal kind, optional, entry
        origin = get_origin(part)
        if origin is Annotated:
            inner, *more = get_args(part)
            extras.extend(more)
            unwrap(inner)
        elif origin in {Union, types.UnionType}:
            for one in get_args(part):
                unwrap(one)
        elif part is type(None):
            optional = True
        elif origin is Literal:
            kind = get_args(part)
        elif origin is not None and issubclass(origin, Sequence):
            kind = list
            (inner,) = get_args(part)
            entry, *more = get_args(inner) if get_origin(inner) is Annotated else (inner,)
            entry_extras.extend(more)
            if get_origin(entry) is Literal:
                entry_extras.append(OneOf(get_args(entry)))
                entry = str
        else:
            kind = part

    unwrap(hint)
    if not isinstance(kind, tuple) and kind is not list and kind not in _KINDS:
        raise TypeError(f"{name}: a request's field cannot be of type {hint!r}")
    return FieldSpec(
        name=name,
        kind=kind,
        entry=entry,
        optional=optional,
        required=required,
        limits=_limits_among(extras),
        entry_limits=_limits_among(entry_extras),
        doc=" ".join(one.text for one in extras if isinstance(one, Doc)),
        secret=secret,
    )


def _limits_among(extras: Sequence[Any]) -> tuple[Limit, ...]:
    return tuple(one for one in extras if hasattr(one, "broken"))


def check(operation: str, specs: Sequence[FieldSpec], values: object) -> None:
    """Raise `InvalidRequest` for the first field of `values` that breaks its spec."""
    for spec in specs:
        value = getattr(values, spec.name)
        if rule := spec.broken(value):
            raise InvalidRequest(spec.name, rule, "(secret)" if spec.secret else value, operation=operation)
