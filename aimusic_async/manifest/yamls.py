"""A manifest in YAML: rows with the line of every field. Needs PyYAML, the extra `cli`.

Reads events instead of using a loader: so every field's line is known, a duplicate field is noticed, only plain data is
built, and neither deep nesting nor aliases of aliases exhaust the memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .faults import Place, plain
from .reading import RawRow, Reading, decoded

_DEEPEST = 20
_LARGEST = 10_000
"""Values in one row, those of its aliases included."""
_TAG = "tag:yaml.org,2002:"
_NO_YAML = "YAML needs the extra `cli`: pip install 'aimusic-async[cli]'; JSONL needs nothing"


class _Wrong(Exception):
    """The document makes no sense; reported as a fault."""

    def __init__(self, what: str, line: int) -> None:
        self.what, self.line = what, line


def read_yaml(data: bytes, found: Reading) -> None:
    """Read a list of tables, one per row."""
    try:
        import yaml  # noqa: PLC0415 - only a manifest in YAML needs it
    except ModuleNotFoundError:
        found.fault(_NO_YAML)
        return
    text = decoded(data, found)
    if text is None:
        return
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is many times as fast
    try:
        _Composer(yaml, yaml.parse(text, Loader=loader), found).read()
    except _Wrong as error:
        found.fault(error.what, error.line)
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it makes no sense"
        position = getattr(error, "position", None)  # of a character that YAML forbids
        line = mark.line + 1 if mark is not None else text.count("\n", 0, position or 0) + 1
        found.fault(f"is not YAML: {plain(str(problem))}", line)


class _Composer:
    """Builds values from YAML's events."""

    def __init__(self, yaml: Any, events: Iterator[Any], found: Reading) -> None:
        self._yaml = yaml
        self._events = events
        self._found = found
        self._maker = yaml.SafeLoader("")  # knows which plain words are numbers, and which
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._size = 0  # of the current row

    def read(self) -> None:
        """Fill in the rows of the one document."""
        yaml, documents = self._yaml, 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _Wrong("holds a second document; put all rows into one list", _line(event))
            elif isinstance(event, yaml.SequenceStartEvent):
                self._rows()
            elif isinstance(event, yaml.ScalarEvent) and not event.value and event.implicit[0]:
                pass  # an empty document
            elif isinstance(event, yaml.NodeEvent):
                raise _Wrong("must be a list of rows, each with a dash before it: `- op: …`", _line(event))

    def _rows(self) -> None:
        yaml = self._yaml
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            if self._found.full:
                for _ in self._events:
                    pass
                return
            self._size = 0
            lines: dict[str, int] = {}
            value = self._value(event, 1, lines)
            if isinstance(value, dict):
                self._found.rows.append(RawRow(Place(file=self._found.file, line=_line(event)), value, lines))
            else:
                self._found.row(value, _line(event))

    def _value(self, event: Any, depth: int, lines: dict[str, int] | None = None) -> Any:
        """Return the value that begins with an event; `lines` is filled with the lines of its fields."""
        yaml = self._yaml
        if depth > _DEEPEST:
            raise _Wrong(f"is nested more than {_DEEPEST} deep", _line(event))
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise _Wrong(f"the alias *{plain(event.anchor)} stands for nothing before it", _line(event))
            value, size = self._anchors[event.anchor]
            self._grow(size, event)
            return value
        before = self._size
        self._grow(1, event)
        if not isinstance(event, yaml.ScalarEvent) and event.tag not in (None, "!", f"{_TAG}seq", f"{_TAG}map"):
            raise _Wrong(f"the tag {plain(event.tag)} is not for a manifest", _line(event))
        if isinstance(event, yaml.SequenceStartEvent):
            value = []
            while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
                value.append(self._value(inner, depth + 1))
        elif isinstance(event, yaml.MappingStartEvent):
            value = self._table(depth, lines if lines is not None else {})
        else:
            value = self._scalar(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = value, self._size - before
        return value

    def _table(self, depth: int, lines: dict[str, int]) -> dict[str, Any]:
        yaml, own, merged = self._yaml, dict[str, Any](), dict[str, Any]()
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            name = self._value(event, depth + 1)
            value = self._value(next(self._events), depth + 1)
            if name == "<<" and not getattr(event, "style", "'"):  # unquoted
                for more in value if isinstance(value, list) else [value]:
                    if not isinstance(more, dict):
                        raise _Wrong("<< merges tables, and this is not one", _line(event))
                    merged = {**more, **merged}
                continue
            if not isinstance(name, str):
                raise _Wrong(f"a field's name must be a text, not {plain(str(type(name).__name__))}", _line(event))
            if name in own:
                self._found.fault("stands twice in one table", _line(event), field=name)
            own[name], lines[name] = value, _line(event)
        return {**merged, **own}

    def _scalar(self, event: Any) -> Any:
        yaml, maker = self._yaml, self._maker
        tag = event.tag
        if tag is None or tag == "!":
            tag = maker.resolve(yaml.ScalarNode, event.value, event.implicit)
        node = yaml.ScalarNode(tag, event.value)
        makers: Mapping[str, Any] = {
            "str": maker.construct_yaml_str,
            "int": maker.construct_yaml_int,
            "float": maker.construct_yaml_float,
            "bool": maker.construct_yaml_bool,
            "null": maker.construct_yaml_null,
            # A date, `=` and `<<` have a meaning in YAML and none here: they are texts.
            "timestamp": maker.construct_yaml_str,
            "value": maker.construct_yaml_str,
            "merge": maker.construct_yaml_str,
        }
        kind = tag.removeprefix(_TAG)
        if tag == kind or kind not in makers:
            raise _Wrong(f"the tag {plain(tag)} is not for a manifest", _line(event))
        try:
            return makers[kind](node)
        except (ValueError, KeyError, IndexError, OverflowError):
            raise _Wrong(f"{plain(event.value)} is not a valid {kind}", _line(event)) from None

    def _grow(self, size: int, event: Any) -> None:
        self._size += size
        if self._size > _LARGEST:
            raise _Wrong(f"one row holds more than {_LARGEST} values", _line(event))


def _line(event: Any) -> int:
    line: int = event.start_mark.line
    return line + 1
