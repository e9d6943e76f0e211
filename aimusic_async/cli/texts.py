"""Long texts on the command line: `@file` is read from a file, `-` from stdin; `@@` begins a text with one `@`."""

from __future__ import annotations

import sys
from pathlib import Path

import attrs

from ..errors import ConfigurationError

_LONGEST = 1_000_000  # bytes: far more than any field takes


@attrs.define
class Texts:
    """Reads the texts of one command; stdin can be read once only."""

    _stdin: str = ""

    def read(self, option: str, value: str) -> str:
        """Return the text that a value names. Raises `ConfigurationError` when it cannot be read."""
        if value == "-":
            if self._stdin:
                raise ConfigurationError(f"{option} and {self._stdin} cannot both be read from stdin")
            self._stdin = option
            return _text(option, "stdin", sys.stdin.buffer.read(_LONGEST + 1))
        if value.startswith("@@"):
            return value[1:]
        if not value.startswith("@"):
            return value
        path = Path(value[1:]).expanduser()
        try:
            with path.open("rb") as file:
                return _text(option, str(path), file.read(_LONGEST + 1))
        except OSError as error:
            hint = f"; for a text that begins with @ write @{value[:20]}" if not path.exists() else ""
            raise ConfigurationError(f"{option}: cannot read {path}: {error.strerror}{hint}") from error


def _text(option: str, name: str, content: bytes) -> str:
    if len(content) > _LONGEST:
        raise ConfigurationError(f"{option}: {name} is longer than any field allows")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n").rstrip("\n")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{option}: {name} is not a text in UTF-8") from None
