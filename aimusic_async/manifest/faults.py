"""The faults of a manifest: where, which field, which rule, which value; all of them, not only the first."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from ..errors import ConfigurationError

_LONGEST_NUMBER = 1024
"""Bits. Python refuses to print much longer numbers."""


@attrs.frozen(kw_only=True)
class Place:
    """A place in a manifest."""

    file: str
    line: int | None = None
    row: int | None = None
    """The number of the row, counted from 1; given where no line is known."""

    def __str__(self) -> str:
        """`songs.jsonl:3`, as editors and terminals understand it."""
        if self.line is not None:
            return f"{self.file}:{self.line}"
        return self.file if self.row is None else f"{self.file}:row {self.row}"


@attrs.frozen
class Fault:
    """One fault; as text it is `file:line: field: what, with the limit; got value`."""

    place: Place
    field: str | None
    what: str

    def __str__(self) -> str:
        """One line for a terminal."""
        text = f"{self.place}: {f'{plain(self.field)}: ' if self.field is not None else ''}{self.what}"
        return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


class ManifestError(ConfigurationError):
    """The manifest has faults; nothing was sent. `faults` are all of them, in the order of the file."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        """Keep the faults; as text, one line for each."""
        self.faults: tuple[Fault, ...] = tuple(faults)
        super().__init__("\n".join(map(str, faults)))


def plain(name: str) -> str:
    """Show untrusted text on one line of a terminal: as it is when that is harmless, else quoted and cut."""
    if name and name.isprintable() and not name.isspace() and len(name) <= 60:
        return name
    return shown(name)


def shown(value: object) -> str:
    """Show a value short enough for one line, with its length when it was cut."""
    if problem := unusable(value):
        return f"something that {problem}"
    text = repr(value)
    if len(text) <= 60:
        return text
    return f"{text[:40]}…' ({len(value)} characters)" if isinstance(value, str) else f"{text[:40]}…"


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def unusable(value: object, *, depth: int = 20) -> str | None:
    """Return why a value (lists and tables included) cannot be sent or recorded, None when it can be."""
    if isinstance(value, str):
        return None if _encodable(value) else "holds half a character (a surrogate without its other half)"
    if isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER:
        return "is too long a number"
    if not isinstance(value, dict | list):
        return None
    if depth == 0:
        return "is nested too deeply"
    inner = [*value, *value.values()] if isinstance(value, dict) else value
    return next((problem for one in inner if (problem := unusable(one, depth=depth - 1))), None)
