"""Reads a manifest from a file, and checks it as a whole before anything is sent."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from types import MappingProxyType

import attrs

from ..errors import ConfigurationError
from ..journal.record import as_text
from .faults import Fault, ManifestError, Place, plain
from .reading import MOST_BYTES, MOST_BYTES_AT_ONCE, Reader, Reading, read_csv, read_jsonl, read_toml, without_mark
from .references import Reference
from .rows import KEY, Row, content_of, read_row
from .yamls import read_yaml

FORMATS: Mapping[str, Reader] = MappingProxyType(
    {
        ".jsonl": read_jsonl,
        ".ndjson": read_jsonl,
        ".csv": read_csv,
        ".yaml": read_yaml,
        ".yml": read_yaml,
        ".toml": read_toml,
    }
)
_AS_A_WHOLE = (read_yaml, read_toml)


@attrs.frozen
class Manifest:
    """The rows of one file, each valid by itself and with the others; made by `read_manifest`."""

    file: str
    rows: tuple[Row, ...]

    def __iter__(self) -> Iterator[Row]:
        """The rows, in the order of the file."""
        return iter(self.rows)

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.rows)

    @property
    def name(self) -> str:
        """The file's name without its suffix: the group's name in a journal."""
        return PurePath(self.file).stem


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Read a manifest in JSONL, CSV, YAML or TOML, as its suffix says, and check all of it.

    Raises `ManifestError` with all its faults, `ConfigurationError` when it cannot be read. It reads the file in the
    calling thread, a thousand rows in some 50 ms: in a busy loop use `asyncio.to_thread`.
    """
    file = Path(path)
    try:
        with file.open("rb") as opened:
            data = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror}") from error
    return parse_manifest(data, str(file))


def parse_manifest(data: bytes, file: str) -> Manifest:
    """Parse the bytes of a manifest; the suffix of `file` says which format it has.

    Raises `ManifestError` with all its faults.
    """
    found = Reading(file)
    reader = FORMATS.get(PurePath(file).suffix.lower())
    most = MOST_BYTES_AT_ONCE if reader in _AS_A_WHOLE else MOST_BYTES
    if reader is None:
        found.fault(f"the suffix of its name must be one of {', '.join(FORMATS)}")
    elif len(data) > most:
        more = ", or write it as JSONL" if most < MOST_BYTES else ""
        found.fault(f"is larger than {most // 1_000_000} MB; split it{more}")
    elif (rest := without_mark(data, found)) is not None:
        reader(rest, found)
    faults = found.faults
    made = [read_row(raw, faults) for raw in found.rows]
    rows = _with_keys([row for row in made if row is not None], faults)
    named = {str(raw.fields[KEY]) for raw in found.rows if isinstance(raw.fields.get(KEY), str | int)}
    _check_references(rows, named, faults)
    if not faults and not rows:
        found.fault("holds no rows")
    if faults:
        raise ManifestError(sorted(faults, key=lambda fault: fault.place.line or fault.place.row or 0))
    return Manifest(file, tuple(rows))


def _with_keys(rows: Sequence[Row], faults: list[Fault]) -> list[Row]:
    """Derive the keys of rows without one from their requests, as a group does; note duplicate keys."""
    contents: Counter[str] = Counter()
    places: dict[str, Place] = {}
    named: list[Row] = []
    for row in rows:
        key = row.key
        if not key:
            content = hashlib.sha256(as_text(content_of(row)).encode()).hexdigest()[:12]
            contents[content] += 1
            key = f"{row.operation.operation}:{content}#{contents[content]}"
        if key in places:
            faults.append(Fault(row.place, KEY, f"is the key of {places[key]} already; got {plain(key)}"))
        else:
            places[key] = row.place
            named.append(attrs.evolve(row, key=key, named=row.key != ""))
    return named


# --- rows that wait for others ---------------------------------------------------------------------------------------


def _check_references(rows: Sequence[Row], named: set[str], faults: list[Fault]) -> None:
    """Note references to missing rows, to what their results cannot hold, and those that form a circle.

    `named`: the keys of all rows, also of those with faults of their own.
    """
    by_key = {row.key: row for row in rows}
    for row in rows:
        for field, reference in row.references:
            source = by_key.get(reference.key)
            if source is None and reference.key not in named:
                faults.append(_fault(row, field, f"there is no row with the key {plain(reference.key)}", reference))
            elif source is not None and (problem := reference.broken(source.operation.result_type())):
                faults.append(_fault(row, field, f"{source.operation.operation}: {problem}", reference))
    for circle in _circles(by_key):
        first = by_key[circle[0]]
        field, reference = next(pair for pair in first.references if pair[1].key == circle[1])
        way = " → ".join(map(plain, circle[:10])) + (" → …" if len(circle) > 10 else "")
        faults.append(_fault(first, field, f"goes in a circle: {way}", reference))


def _fault(row: Row, field: str, what: str, reference: Reference) -> Fault:
    return Fault(row.place, field, f"{what}; got {plain(reference.text)}")


def _circles(rows: Mapping[str, Row]) -> Iterator[list[str]]:
    """Yield circles of keys, each with its first key again at the end; at least one of every knot of circles."""
    left = dict(rows)
    for key in in_order(rows):
        del left[key]
    seen: set[str] = set()
    for start in left:
        path: dict[str, int] = {}
        key = start
        while key not in seen and key not in path:
            path[key] = len(path)
            key = next(source for source in left[key].sources if source in left)  # else it came in order
        if key in path:
            circle = list(itertools.islice(path, path[key], None))
            first = min(range(len(circle)), key=lambda place: _rank(rows, circle[place]))
            yield [*circle[first:], *circle[:first], circle[first]]
        seen.update(path)


def _rank(rows: Mapping[str, Row], key: str) -> int:
    place = rows[key].place
    return place.line or place.row or 0


def in_order(rows: Mapping[str, Row]) -> Iterator[str]:
    """Yield the keys so that each row comes after those that it waits for; rows in circles never come."""
    waiting = {key: sum(source in rows for source in row.sources) for key, row in rows.items()}
    after: dict[str, list[str]] = {}
    for key, row in rows.items():
        for source in row.sources:
            after.setdefault(source, []).append(key)
    ready = [key for key, count in waiting.items() if not count]
    while ready:
        upcoming: list[str] = []
        for key in ready:
            yield key
            for other in after.get(key, ()):
                waiting[other] -= 1
                if not waiting[other]:
                    upcoming.append(other)
        ready = upcoming
