"""References such as `$track-01.clip`: what a row takes from another row's result. Pure; types are checked beforehand.

`$key.clip` is the id of a song's first clip, `$key.clip[1]` of its second, `$key.part.Vocals` of that part of stems.
Anything else is a path through the result: `$key.clips[0].audio_url`, `$key.persona_id`, `$key.results[0].lyrics`.
A key with other characters than letters, digits, - and _ needs braces: `${track 1}.clip`. The value is a text.
"""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs

from ..api.results import Clip, Clips, Stems, UploadedClip
from ..errors import MusicError

SIGN = "$"
_WHOLE = re.compile(r"\$(?:\{([^{}]+)\}|([\w-]+))\.(.+)", re.DOTALL)
_PART = re.compile(r"part\.(.+)|part\[(.+)\]", re.DOTALL)
_STEP = re.compile(r"(?:^|\.)([A-Za-z_]\w*)|\[(\d{1,4})\]")


class NothingThere(MusicError):
    """The result lacks what a reference asks for."""


@attrs.frozen
class Reference:
    """What a row takes from the result of the row with this `key`."""

    text: str
    """As it is written in the manifest."""
    key: str
    steps: tuple[str | int, ...]
    """The path through the result: names of fields, and places in lists counted from 0."""

    def broken(self, result: type) -> str | None:
        """Return why a result of that class cannot hold this; None when it can."""
        kind: Any = result
        for step in self._way(result):
            if isinstance(step, int):
                if get_origin(kind) is not tuple:
                    return f"{self._name(kind)} is not a list, [{step}] makes no sense"
                kind = get_args(kind)[0]
            elif kind is Stems and step == "part":
                return None if len(self.steps) > 1 else "say which part: .part.Vocals"
            elif get_origin(kind) is tuple:
                return f"say which: .{step} comes after a place such as [0]"
            else:
                fields = _fields(kind)
                if step not in fields:
                    return self._not_there(step, kind, fields)
                kind = fields[step]
        if kind is str or kind in (Clip, UploadedClip):
            return None
        return f"gives {self._name(kind)} and not a text"

    def value(self, result: object) -> str:
        """Return its value in a result. Raises `NothingThere`."""
        found: Any = result
        way = self._way(type(result))
        for number, step in enumerate(way):
            if isinstance(step, int):
                if step >= len(found):
                    raise NothingThere(f"{self.text}: there are {len(found)}, counted from 0")
                found = found[step]
            elif isinstance(found, Stems) and step == "part":
                return self._part(found, str(way[number + 1]))
            else:
                found = getattr(found, step)
        if isinstance(found, Clip | UploadedClip):
            found = found.clip_id
        if not isinstance(found, str) or not found:
            raise NothingThere(f"{self.text}: the result does not say")
        return found

    def _way(self, result: type) -> tuple[str | int, ...]:
        """Return the steps with `clip` spelt out: `clip` and `clip[0]` are the first of `clips`."""
        steps = self.steps
        if steps[0] != "clip" or not issubclass(result, Clips | UploadedClip):
            return steps
        if issubclass(result, UploadedClip):  # it is the clip itself
            return steps[2:] if steps[1:2] == (0,) else steps[1:]
        return ("clips", *steps[1:]) if isinstance((*steps, "")[1], int) else ("clips", 0, *steps[1:])

    def _part(self, stems: Stems, name: str) -> str:
        parts = {known.casefold(): clip for known, clip in stems.parts.items()}
        clip = parts.get(name.casefold())
        if clip is None:
            raise NothingThere(f"{self.text}: the parts are {', '.join(stems.parts) or 'none'}")
        return clip.clip_id

    def _not_there(self, step: str, kind: Any, fields: Mapping[str, Any]) -> str:
        name = self._name(kind)
        if step == "clip":
            return f"{name} has no clips; it has {', '.join(fields)}"
        if step == "part":
            return f"{name} has no parts; stems have"
        close = get_close_matches(step, [*fields, "clip", "part"], n=1)
        return f"{name} has no {step}" + (f" (did you mean {close[0]}?)" if close else f"; it has {', '.join(fields)}")

    @staticmethod
    def _name(kind: Any) -> str:
        if get_origin(kind) is tuple:
            return f"a list of {get_args(kind)[0].__name__}"
        name = getattr(kind, "__name__", str(kind))
        return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def read_reference(text: str) -> Reference | str | None:
    """Return the reference in a text, or the text that `$$…` stands for, or None when it is neither."""
    if text.startswith(SIGN * 2):
        return text[1:]
    whole = _WHOLE.fullmatch(text)
    if whole is None:
        return None
    key, path = whole[1] or whole[2], whole[3]
    if part := _PART.fullmatch(path):
        return Reference(text, key, ("part", part[1] or part[2]))
    steps: list[str | int] = []
    place = 0
    while place < len(path):
        step = _STEP.match(path, place)
        if step is None or (step[1] and step[0].startswith(".") == (place == 0)):
            return None
        steps.append(step[1] or int(step[2]))
        place = step.end()
    return Reference(text, key, tuple(steps)) if isinstance(steps[0], str) else None


@cache
def _fields(kind: type) -> Mapping[str, Any]:
    """Return the fields of a result's class with their types, without None."""
    if not attrs.has(kind):
        return {}
    hints = get_type_hints(kind)
    return {field.name: _unwrapped(hints[field.name]) for field in attrs.fields(kind) if field.name != "raw"}


def _unwrapped(hint: Any) -> Any:
    if get_origin(hint) in {Union, types.UnionType}:
        kinds = [one for one in get_args(hint) if one is not types.NoneType]
        return kinds[0] if len(kinds) == 1 else hint
    return hint
