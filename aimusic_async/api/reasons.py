"""Why something failed: the reason out of an answer, whichever of its many shapes it has. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

NO_REASON = "the service gave no reason"

_FIELDS = ("error", "detail", "message", "msg")
"""Where an answer says it; the first that says anything counts."""
_INSIDE = ("message", "msg", *(name for name in _FIELDS if name not in ("message", "msg")), "reason", "description")
"""Where an object says it that stands where a text was expected."""
_OF_CLIPS = ("error_message", *_FIELDS, "fail_reason", "reason")
_NO_REASONS = frozenset({"success", "succeeded", "ok", "failed", "error"})
"""Texts that say only how it went."""
_DEEPEST = 4
_LONGEST = 300
"""Characters of a body that is shown for want of a reason."""


def words_of(value: Any, depth: int = 0) -> str:
    """Return the text of a value that may be a text, an object that holds one, or a list of such; else nothing."""
    if isinstance(value, str):
        return value.strip()
    if depth >= _DEEPEST:
        return ""
    if isinstance(value, Mapping):
        return next((text for name in _INSIDE if (text := words_of(value.get(name), depth + 1))), "")
    if isinstance(value, list):
        return "; ".join(dict.fromkeys(text for one in value if (text := words_of(one, depth + 1))))
    return ""


def message_of(fields: Mapping[str, Any]) -> str:
    """Return the text of an error body: the first of `error`, `detail`, `message`, `msg`, or the failed step's."""
    if step := failed_step(fields):
        return step
    return next((text for name in _FIELDS if (text := words_of(fields.get(name)))), "")


def failed_step(fields: Mapping[str, Any]) -> str:
    """Return why the upload of a composite operation failed; it hides in `steps`."""
    steps = fields.get("steps")
    upload = steps.get("upload") if isinstance(steps, dict) else None
    if not isinstance(upload, dict) or upload.get("clip_id"):
        return ""
    return next((text for name in ("error", "message") if (text := words_of(upload.get(name)))), "")


def reason_of(fields: Mapping[str, Any]) -> str:
    """Return why a task failed, or its answer, shortened, when that does not say."""
    said = message_of(fields)
    return said if says_why(said) else shortened(fields) or NO_REASON


def reason_of_clip(item: Mapping[str, Any]) -> str:
    """Return why a clip failed; empty when its entry does not say."""
    return next((text for name in _OF_CLIPS if (text := words_of(item.get(name)))), "")


def says_why(text: str) -> bool:
    """Whether a text says more than how it went."""
    return bool(text) and text.lower().rstrip(".!") not in _NO_REASONS


def shortened(body: Any) -> str:
    """Return the beginning of a JSON value as text; empty for one that is empty."""
    if not body:
        return ""
    try:
        text = json.dumps(body, ensure_ascii=False)
    except (RecursionError, ValueError, TypeError):
        return ""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
