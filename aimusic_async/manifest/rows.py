"""Turns a raw row into a request, or a list of all its faults. Everything derives from the request classes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

import attrs

from ..api.limits import FieldSpec, listed
from ..api.operations import operations
from ..api.plain import OPERATION, request_from_plain, to_plain
from ..api.request import Request
from ..errors import InvalidRequest
from .faults import Fault, Place, shown, unusable
from .reading import RawRow, parsed_json
from .references import SIGN, Reference, read_reference

KEY = "key"
_LONGEST_KEY = 200
_STAND_IN = "https://example.invalid/1"
"""Takes the place of a reference's value, so that the rest of the row can be checked: valid as an id and an address."""
_BETWEEN = "|"
"""Separates the entries of a list in a CSV cell."""
_WHOLE_NUMBER = re.compile(r"[+-]?\d{1,300}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@attrs.frozen
class Row:
    """One request of a manifest."""

    key: str
    """The key in the file, or one that is derived from the request."""
    place: Place
    operation: type[Request[Any]]
    fields: Mapping[str, Any] = attrs.field(repr=False)
    """The fields with the references still in them."""
    references: tuple[tuple[str, Reference], ...] = ()
    """What it takes from other rows, with the field for each."""
    request: Request[Any] | None = None
    """What to send; None while it waits for the results that it refers to."""
    named: bool = True
    """Whether the file gives the key."""

    @property
    def sources(self) -> tuple[str, ...]:
        """The keys of the rows that it waits for."""
        return tuple(dict.fromkeys(reference.key for _, reference in self.references))

    def filled(self, results: Mapping[str, Any]) -> Request[Any]:
        """Return the request, given the results of the rows that it refers to, by their keys.

        Raises `NothingThere` for a result that lacks a value, `InvalidRequest` for a value that does not fit.
        """
        if self.request is not None:
            return self.request
        values = {reference.text: reference.value(results[reference.key]) for _, reference in self.references}
        return _request(self.operation, self.fields, values.__getitem__)


def read_row(raw: RawRow, faults: list[Fault]) -> Row | None:
    """Return a row, or None after adding what is wrong with it to `faults`.

    The `key` of a row without one is empty.
    """
    known = len(faults)

    def wrong(field: str, what: str) -> None:
        faults.append(Fault(raw.place_of(field), field, what))

    fields = {name: value for name, value in raw.fields.items() if value is not None}
    odd = {name: problem for name, value in fields.items() if (problem := unusable(name) or unusable(value))}
    for name, problem in odd.items():
        wrong(name, problem)
    key, name = fields.pop(KEY, ""), fields.pop(OPERATION, None)
    key = "" if KEY in odd else _key(key, wrong)
    cls = operations().get(name) if isinstance(name, str) else None
    if cls is None:
        if name is None:
            wrong(OPERATION, f"is required: the operation, such as {next(iter(operations()))}")
        elif OPERATION not in odd:
            wrong(OPERATION, f"must name an operation{_meant(name, operations())}; got {shown(name)}")
        return None
    specs = {spec.name: spec for spec in cls.fields()}
    references: list[tuple[str, Reference]] = []
    for field, given in fields.items():
        if field in odd:
            continue
        spec = specs.get(field)
        if spec is None:
            wrong(field, f"is not a field of {cls.operation}{_meant(field, [*specs, KEY])}; got {shown(given)}")
            continue
        value = fields[field] = given if raw.typed else _typed(given, spec)
        found, problem = _references(value, spec)
        references += [(field, reference) for reference in found]
        if why := problem or _broken(value, spec):
            wrong(field, f"{why}; got {'(secret)' if spec.secret else shown(value)}")
    for field, spec in specs.items():
        if spec.required and field not in fields:
            wrong(field, f"is required by {cls.operation}")
    if len(faults) > known:
        return None
    try:
        request = _request(cls, fields, _stand_in)
    except InvalidRequest as error:
        value = "(secret)" if error.field in specs and specs[error.field].secret else shown(error.value)
        wrong(error.field, f"{error.limit}; got {value}")
        return None
    return Row(key, raw.place, cls, fields, tuple(references), None if references else request)


def content_of(row: Row) -> dict[str, Any]:
    """Return what a row asks for, without secrets: the same for the same request, however it is spelt."""
    if row.request is not None:
        return to_plain(row.request)
    taken = [[field, reference.text] for field, reference in row.references]
    return {**to_plain(_request(row.operation, row.fields, _stand_in)), SIGN: taken}


def _key(value: object, wrong: Callable[[str, str], None]) -> str:
    key = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(key, str):
        wrong(KEY, f"must be a text; got {shown(value)}")
    elif len(key) > _LONGEST_KEY:
        wrong(KEY, f"must be at most {_LONGEST_KEY} characters long, is {len(key)}; got {shown(value)}")
    elif key and (key.strip() != key or not key.isprintable()):
        wrong(KEY, f"must be printable, without white space around it; got {shown(value)}")
    else:
        return key
    return ""


def _meant(word: object, known: Any) -> str:
    close = get_close_matches(word[:60], list(known), n=1) if isinstance(word, str) else []
    return f" (did you mean {close[0]}?)" if close else ""


# --- references ------------------------------------------------------------------------------------------------------


def _references(value: object, spec: FieldSpec) -> tuple[list[Reference], str]:
    """Return what a field's value refers to, and what is wrong with that."""
    found: list[Reference] = []
    for text in value if isinstance(value, list) else [value]:
        if not isinstance(text, str) or not text.startswith(SIGN):
            continue
        meant = read_reference(text)
        if meant is None:
            return found, (
                "begins with $ and is not a reference such as $track-01.clip (write $$… for a text that begins with $)"
            )
        if isinstance(meant, Reference):
            if spec.kind is not str and not (spec.kind is list and spec.entry is str):
                return found, "cannot be taken from another row: it is not a text"
            found.append(meant)
    return found, ""


def _stand_in(_: str) -> str:
    return _STAND_IN


def _replaced(value: Any, give: Callable[[str], str]) -> Any:
    """Return a field's value with its references replaced by their values."""
    if isinstance(value, list):
        return [_replaced(one, give) if isinstance(one, str) else one for one in value]
    if not isinstance(value, str) or not value.startswith(SIGN):
        return value
    meant = read_reference(value)
    return give(meant.text) if isinstance(meant, Reference) else meant


def _request(cls: type[Request[Any]], fields: Mapping[str, Any], give: Callable[[str], str]) -> Request[Any]:
    values = {name: _replaced(value, give) for name, value in fields.items()}
    return request_from_plain({OPERATION: cls.operation, **values})


def _broken(value: Any, spec: FieldSpec) -> str | None:
    value = _replaced(value, _stand_in)
    if spec.entry is not str:
        return None if isinstance(value, list) else spec.broken(value)  # its entries are checked when they are built
    return spec.broken(listed(value))


# --- texts to values -------------------------------------------------------------------------------------------------


def _typed(text: str, spec: FieldSpec) -> Any:
    """Return the value of a cell by the field's type; the text itself when it does not fit."""
    word = text.strip()
    if spec.kind is bool:
        return _WORDS.get(word.lower(), text)
    if spec.kind in (int, float):
        if _WHOLE_NUMBER.fullmatch(word):
            return int(word)
        return float(word) if spec.kind is float and _NUMBER.fullmatch(word) else text
    if spec.kind is list:
        if word.startswith("["):
            entries, problem = parsed_json(word)
            return text if problem else entries
        return [entry.strip() for entry in word.split(_BETWEEN)]
    return word if isinstance(spec.kind, tuple) else text
