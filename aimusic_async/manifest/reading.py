"""Parses a manifest's bytes into raw rows with their lines. Pure: JSONL, CSV and TOML; YAML has its own module."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import attrs

from .faults import Fault, Place, plain

MOST_ROWS = 100_000
MOST_BYTES = 100_000_000
MOST_BYTES_AT_ONCE = 10_000_000
"""For formats that can be parsed only as a whole: YAML and TOML."""

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",  # before UTF-16, whose mark is its beginning
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_TOML_ROW = re.compile(r"""^[ \t]*\[\[[ \t]*(?:row|"row"|'row')[ \t]*\]\]""")
_TOML_LINE = re.compile(r"\s*\(at line (\d+), column \d+\)$|\s*\(at end of document\)$")


@attrs.frozen
class RawRow:
    """One row as the file has it."""

    place: Place
    fields: dict[str, Any]
    lines: Mapping[str, int] = attrs.field(factory=dict)
    """The line of each field, if known."""
    typed: bool = True
    """Whether the values have types; those of CSV are all texts."""

    def place_of(self, field: str | None) -> Place:
        """Return the place of a field."""
        line = self.lines.get(field) if field is not None else None
        return self.place if line is None else attrs.evolve(self.place, line=line)


@attrs.define
class Reading:
    """The outcome of reading a file: rows and faults."""

    file: str
    rows: list[RawRow] = attrs.field(factory=list)
    faults: list[Fault] = attrs.field(factory=list)

    def fault(self, what: str, line: int | None = None, *, field: str | None = None, row: int | None = None) -> None:
        """Note a fault."""
        self.faults.append(Fault(Place(file=self.file, line=line, row=row), field, what))

    def row(self, value: object, line: int | None, *, row: int | None = None) -> None:
        """Note a row, if it is a table."""
        if isinstance(value, dict):
            self.rows.append(RawRow(Place(file=self.file, line=line, row=row), value))
        else:
            self.fault(f"a row is a table of fields, not {type(value).__name__}", line, row=row)

    @property
    def full(self) -> bool:
        """Whether there are more rows than one batch takes; a fault says so, once."""
        if len(self.rows) < MOST_ROWS:
            return False
        self.fault(f"holds more than {MOST_ROWS} rows; split it", self.rows[-1].place.line)
        return True


class Reader(Protocol):
    """Reads one format: called with all of a file's bytes, it notes rows and faults in `found`."""

    def __call__(self, data: bytes, found: Reading) -> None:
        """Read."""


def decoded(data: bytes, found: Reading, line: int = 1) -> str | None:
    """Decode bytes; return None and note a fault when they are not UTF-8. `line` is that of the first byte."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        found.fault(f"is not UTF-8: byte 0x{data[error.start]:02x}", line + data.count(b"\n", 0, error.start))
        return None


def without_mark(data: bytes, found: Reading) -> bytes | None:
    """Return the bytes without UTF-8's byte order mark; None, and a fault, when the mark is another encoding's."""
    for mark, name in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            found.fault(f"is {name}; save it as UTF-8", 1)
            return None
    return data.removeprefix(codecs.BOM_UTF8)


# --- JSONL -----------------------------------------------------------------------------------------------------------


def read_jsonl(data: bytes, found: Reading) -> None:
    """Read one JSON object per line; empty lines are skipped."""
    start, line = 0, 0
    while start < len(data):
        end = data.find(b"\n", start)
        end, line = (len(data) if end < 0 else end), line + 1
        raw, start = data[start:end].strip(), end + 1
        if not raw:
            continue
        if found.full:
            return
        if (text := decoded(raw, found, line)) is not None:
            _read_object(text, line, found)


def _read_object(text: str, line: int, found: Reading) -> None:
    def table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        for name, count in Counter(name for name, _ in pairs).items():
            if count > 1:
                found.fault(f"stands {count} times in one object", line, field=name)
        return dict(pairs)

    value, problem = parsed_json(text, table)
    if problem:
        found.fault(problem, line)
    else:
        found.row(value, line)


def parsed_json(text: str, table: Callable[[list[tuple[str, Any]]], dict[str, Any]] = dict) -> tuple[Any, str]:
    """Return the value of a JSON text, or what is wrong with the text."""
    try:
        return json.loads(text, object_pairs_hook=table, parse_constant=_no_number), ""
    except json.JSONDecodeError as error:
        return None, f"is not JSON: {error.msg} at column {error.pos + 1}"
    except ValueError as error:  # NaN or the like, or a number too long for Python
        return None, f"is not JSON that can be used: {str(error).partition(';')[0]}"
    except RecursionError:
        return None, "is nested too deeply"


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is not a number")


# --- CSV -------------------------------------------------------------------------------------------------------------


def read_csv(data: bytes, found: Reading) -> None:
    """Read a line of field names, then one row per line; quoted cells may span several. An empty cell is no value.

    The separator is comma, semicolon or tab, whichever is most frequent in the first line.
    """
    text = decoded(data, found)
    if text is None:
        return
    head = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count), strict=True)
    line = 1
    names: list[str] | None = None
    try:
        for cells in reader:
            if not any(map(str.strip, cells)):
                pass
            elif names is None:
                names = [cell.strip() for cell in cells]
                if not _names_fit(names, line, found):
                    return
            elif found.full:
                return
            elif len(cells) > len(names) and any(cells[len(names) :]):
                found.fault(f"has {len(cells)} cells, and there are {len(names)} columns", line)
            else:
                fields = {name: cell for name, cell in zip(names, cells, strict=False) if name and cell.strip()}
                found.rows.append(RawRow(Place(file=found.file, line=line), fields, typed=False))
            line = reader.line_num + 1
    except csv.Error as error:
        found.fault(f"is not CSV: {error}; the rest was not read", line)


def _names_fit(names: list[str], line: int, found: Reading) -> bool:
    for name, count in Counter(filter(None, names)).items():
        if count > 1:
            found.fault(f"is the name of {count} columns", line, field=name)
    if "op" not in names:
        found.fault(f"the first line must name the columns, op among them; got {plain(','.join(names))}", line)
    return not found.faults


# --- TOML ------------------------------------------------------------------------------------------------------------


def read_toml(data: bytes, found: Reading) -> None:
    """Read one `[[row]]` table per row."""
    text = decoded(data, found)
    if text is None:
        return
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = _TOML_LINE.search(str(error))
        line = int(match[1]) if match and match[1] else text.count("\n") + 1
        found.fault(f"is not TOML: {_TOML_LINE.sub('', str(error))}", line)
        return
    except RecursionError:
        found.fault("is nested too deeply")
        return
    except ValueError as error:  # a number too long for Python, a day that no calendar has
        found.fault(f"is not TOML that can be used: {str(error).partition(';')[0]}")
        return
    rows = document.pop("row", [])
    for name in document:
        found.fault("is not known here; each row is a table [[row]]", field=name)
    if not isinstance(rows, list):
        found.fault("each row is a table of its own: [[row]], with two brackets", field="row")
        return
    # Lines are known only if the headers surely are the rows': one may be inside a text, rows may be inline.
    lines: list[int | None] = [
        number for number, words in enumerate(text.split("\n"), 1) if _TOML_ROW.match(words) is not None
    ]
    if len(lines) != len(rows):
        lines = [None] * len(rows)
    for number, (value, where) in enumerate(zip(rows, lines, strict=True), 1):
        if found.full:
            return
        found.row(value, where, row=number)
