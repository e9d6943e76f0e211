"""Names for files that are harmless on every file system: a title is untrusted text. Pure."""

from __future__ import annotations

import hashlib
import re
import string
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Self

import attrs

from ..errors import ConfigurationError

FIELDS = ("title", "clip_id", "index", "part", "operation", "key")

# Bytes, as file systems count; with a suffix a name stays below the 255 that most of them allow.
_LONGEST = 220
_LONGEST_TITLE = 120
_LONGEST_FIELD = 64

_GONE = frozenset({"Cf", "Cn", "Co", "Cs"})  # invisible, and some reverse the reading direction
_BLANK = frozenset({"Cc", "Zl", "Zp", "Zs"})
_FORBIDDEN = re.compile(r'[<>:"/\\|?*]')  # on Windows; the slash everywhere
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|clock\$|(com|lpt)[0-9¹²³]) *(\.|$)", re.IGNORECASE)


@attrs.frozen
class Template:
    """A name with fields in braces, as `{title} [{clip_id}]`; make it with `Template.parse`."""

    pieces: tuple[tuple[str, str | None], ...]
    """Each text with the field after it, None after the last."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Check a template. Raises `ConfigurationError` for an unknown field, and for a path."""
        try:
            pieces = [*string.Formatter().parse(text)]
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"name={text!r} is not a template: {error}") from None
        for literal, field, form, conversion in pieces:
            if set(literal) & set("/\\"):
                raise ConfigurationError(f"name={text!r} must be the name of a file, without folders")
            if field is not None and (field not in FIELDS or form or conversion):
                known = " ".join(f"{{{one}}}" for one in FIELDS)
                raise ConfigurationError(f"name={text!r} holds {{{field}}}; the fields are {known}, as they stand here")
        if not text.strip():
            raise ConfigurationError("name must not be empty")
        return cls(tuple((literal, field) for literal, field, _, _ in pieces))

    @property
    def fields(self) -> frozenset[str]:
        """The fields that it holds."""
        return frozenset(field for _, field in self.pieces if field is not None)

    def stem(self, values: Mapping[str, str]) -> str:
        """Fill in the values; return a name without suffix: one path component, never empty, and safe anywhere."""
        filled = "".join(text + ("" if field is None else _filled(field, values[field])) for text, field in self.pieces)
        name = _harmless(filled)
        if len(name.encode()) > _LONGEST:
            name = f"{_cut(name, _LONGEST - 13)}~{_hash(name)}"
        return _no_device(name or "untitled")


def stems(stem: str, clip_id: str) -> Iterator[str]:
    """Yield names for one clip without end: first its own, then such as distinguish it from others of that name."""
    yield stem
    marked = f" [{_mark(clip_id)}]"
    if not stem.endswith(marked):
        stem = _cut(stem, _LONGEST - len(marked.encode())) + marked
        yield stem
    number = 1
    while True:
        number += 1
        yield _cut(stem, _LONGEST - 12) + f" ({number})"


def alike(name: str) -> str:
    """Return a form that is equal for two names that are the same file where case does not matter."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _filled(field: str, value: str) -> str:
    if field == "clip_id":
        return _mark(value)
    name = _cut(_harmless(value), _LONGEST_TITLE if field == "title" else _LONGEST_FIELD)
    return name or ("untitled" if field == "title" else "")


def _mark(clip_id: str) -> str:
    """Return the id, or its harmless part and a hash: two ids must not become one name."""
    name = _cut(_harmless(clip_id), _LONGEST_FIELD)
    return name if name == clip_id == alike(clip_id) else name + _hash(clip_id)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]


def _cut(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore").rstrip(" .")


def _harmless(text: str) -> str:
    seen = "".join(
        " " if kind in _BLANK else char
        for char, kind in ((char, unicodedata.category(char)) for char in text)
        if kind not in _GONE
    )
    plain = _FORBIDDEN.sub("-", unicodedata.normalize("NFC", seen))
    return re.sub(r" +", " ", plain).lstrip(" .-").rstrip(" .")  # a dot would hide it; a dash makes it an option


def _no_device(name: str) -> str:
    return f"_{name}" if _DEVICE.match(name) else name
