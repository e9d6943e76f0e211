"""Whose words an answer is: the service's own, or those of a gateway, a proxy or a filter on the way. Pure.

Only the service's own words are a verdict. What anybody else says is no answer, whatever its status and its words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .reasons import words_of
from .reply import number

_WORD = re.compile(r"[a-z][a-z0-9_]*", re.IGNORECASE)
"""How the service spells a `type`; where others have that field, it is an address, or `about:blank`."""
_SAID = ("error", "detail", "message", "msg")
_OF_RESULTS = frozenset({
    "alignment", "audio_url", "avg_bpm", "clip_id", "code", "credits", "data", "event", "extra_credits", "midi_url",
    "persona_id", "progress", "results", "state", "status", "steps", "task_id", "upsampled_tags", "vox_audio_id",
    "wav_url",
})  # fmt: skip
"""Fields of the answers that are documented; a success has one of them at its top."""
_OF_FAILURES = frozenset({"task_id", "clip_id", "refund_processed"})
"""Those that tell the service's failure from anybody else's."""
_OF_ARGUMENTS = frozenset({400, 422})
"""With these, uploads were seen refused in a body of `detail` alone; no gateway judges arguments in JSON."""
_SAID_OF_ARGUMENTS = ("error", "detail")

NOT_TAKEN = frozenset({307, 308, 405, 413, 414, 429, 431})
"""With these, whoever stands before the service did not hand the request on."""


def is_of_the_service(status: int, body: Any, *, poll: bool = False) -> bool:
    """Whether an answer is the service's own, by its status and its JSON; a `poll` has no arguments to be judged."""
    fields = body if isinstance(body, dict) else {}
    known = _OF_RESULTS if status < 300 else _OF_FAILURES
    if not known.isdisjoint(fields):  # first, as nearly every answer is a success
        return True
    judges = not poll and status in _OF_ARGUMENTS and _says(fields, _SAID_OF_ARGUMENTS)
    return judges or _is_error(fields) or _has_code(fields)


def _is_error(fields: Mapping[str, Any]) -> bool:
    word = fields.get("type")
    return isinstance(word, str) and bool(_WORD.fullmatch(word)) and _says(fields, _SAID)


def _has_code(fields: Mapping[str, Any]) -> bool:
    """Whether there is a status with a text; smaller numbers than a status are those of another protocol (gRPC)."""
    code = number(fields.get("code"))
    return code is not None and not 0 < code < 100 and _says(fields, _SAID)


def _says(fields: Mapping[str, Any], names: tuple[str, ...]) -> bool:
    return any(words_of(fields.get(name)) for name in names)
