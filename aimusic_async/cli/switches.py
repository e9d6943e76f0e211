"""The switches of `aimusic sandbox`: those of the sandbox's options, by their names, with their own explanations."""

from __future__ import annotations

import ast
import inspect
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import attrs

from ..errors import ConfigurationError
from ..sandbox import Options

_OWN = frozenset({"speed", "seed", "credits", "faults", "http_webhooks", "era", "start", "policy"})
"""Fields that have an option of their own, or that cannot be written on a command line."""
_WORDS: Mapping[str, bool | None] = {
    "yes": True, "on": True, "true": True, "no": False, "off": False, "false": False, "none": None,
}  # fmt: skip


def read_switches(written: Iterable[str]) -> dict[str, Any]:
    """Read `name=value` as fields of `Options`; raises `ConfigurationError` for a name that does not exist."""
    known = _names()
    switches: dict[str, Any] = {}
    for one in written:
        name, equals, value = one.partition("=")
        name = name.strip().replace("-", "_")
        if name not in known:
            close = get_close_matches(name, known, n=1)
            meant = f"; did you mean {close[0]}?" if close else "; `aimusic sandbox --switches` lists them"
            raise ConfigurationError(f"--switch: there is no switch {name!r}{meant}")
        switches[name] = _value(value.strip()) if equals else True
    return switches


def _value(text: str) -> Any:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    return tuple(value) if isinstance(value, list) else value


def build_options(era: str | None, switches: Mapping[str, Any], **more: Any) -> Options:
    """Build the options; raises `ConfigurationError` for a value that makes no sense."""
    try:
        return Options(era=era, **switches, **more)  # type: ignore[arg-type]  # the options check it themselves
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"--switch: {error.args[0] if error.args else error}") from None


def rows(era: str | None) -> Iterator[dict[str, Any]]:
    """Yield name, value and explanation of every switch, as an era has them."""
    options, words = build_options(era, {}), _explanations()
    for name in _names():
        yield {"switch": name, "value": getattr(options, name), "about": words.get(name, "")}


def _names() -> list[str]:
    return [field.name for field in attrs.fields(Options) if field.name not in _OWN]


def _explanations() -> dict[str, str]:
    """The string below each field, in one line."""
    found: dict[str, str] = {}
    for cls in Options.__mro__[:-1]:
        tree = ast.parse(inspect.getsource(cls)).body[0]
        assert isinstance(tree, ast.ClassDef)
        for field, after in itertools.pairwise(tree.body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(after, ast.Expr):
                found[field.target.id] = " ".join(str(ast.literal_eval(after.value)).split())
    return found
