"""The clips that an answer about a task holds, and what they mean for the whole task. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from .forgiving import maybe_bool, maybe_text, structure
from .progress import Progress, SongEvent, TaskState
from .reasons import message_of, reason_of_clip, says_why, shortened
from .results import Clip, settled

_PARTS = ("extended", "replaced")
"""Where the new part stands in a pair of part and whole."""
_ENTRY = frozenset({"clip_id", "state", "status", "audio_url", "wav_url", "image_url", "title", *_PARTS})
"""Fields of which an entry that is, or will be, a clip has one."""


def read_clips(
    result_type: Any, task_id: str, raw: Mapping[str, Any], data: list[dict[str, Any]], *, least: int
) -> Progress[Any]:
    """Return the progress that the entries of an answer show; it takes `least` clips to finish."""
    only_id = task_id if len(data) == 1 else ""
    parts: list[Clip] = []
    full: list[Clip] = []
    whole_yet = True
    for item in data:
        if item and _ENTRY.isdisjoint(item):
            continue  # whatever it is, it stays in `raw`
        pair = not item.keys().isdisjoint(_PARTS)
        part = _read_clip(_object(item, *_PARTS) if pair else item, only_id, raw)
        if part is None:
            whole_yet = False
            continue
        parts.append(part)
        whole = _read_clip(_object(item, "full"), "", raw) if pair else None
        if whole is not None:
            full.append(whole)
        elif pair and not part.failed:
            whole_yet = False
    everything = (*parts, *full)
    bad = tuple(clip for clip in everything if clip.failed)
    if len(parts) < least or not whole_yet or not all(clip.succeeded or clip.failed for clip in everything):
        return Progress(state=TaskState.RUNNING, clips=everything, raw=raw)
    good = tuple(clip for clip in parts if clip.succeeded)
    if not good:
        return failed(raw, _reason(raw, bad), everything)
    joint: dict[str, Any] = {"full": tuple(clip for clip in full if clip.succeeded)} if full else {}
    result = result_type(task_id=task_id, clips=good, failed=bad, raw=raw, **joint)
    return Progress(state=TaskState.SUCCEEDED, result=result, clips=everything, raw=raw)


def failed(fields: Mapping[str, Any], reason: str, clips: tuple[Clip, ...] = ()) -> Progress[Any]:
    """Return the progress of a task that failed."""
    refunded = _refunded(fields, reason)
    return Progress(state=TaskState.FAILED, clips=clips, reason=reason, refunded=refunded, raw=fields)


def _reason(raw: Mapping[str, Any], bad: tuple[Clip, ...]) -> str:
    said = next((clip.error_message for clip in bad if clip.error_message), "") or message_of(raw)
    return said if says_why(said) else f"every clip failed: {shortened(bad[0].raw)}"


def _object(item: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    return next((found for name in names if isinstance(found := item.get(name), dict)), {})


def _read_clip(item: Mapping[str, Any], only_id: str, task: Mapping[str, Any]) -> Clip | None:
    """Read one entry; None when it is no clip: that has an id, or an address, or says that it failed.

    The only entry of a task may have the task's id; an address may end with the clip's.
    """
    given = {name: value for name, value in item.items() if value is not None and value != ""}
    address = next((url for name in ("audio_url", "wav_url") if (url := _address(given.get(name)))), "")
    # An entry may omit its state: then the task's counts, or that it has its audio, unless the audio only streams.
    own = _word(given.get("state")) or _word(given.get("status"))
    final = address and task.get("event") != SongEvent.STREAMING
    given["state"] = own or _word(task.get("status")) or ("succeeded" if final else "running")
    clip_id = maybe_text(given.get("clip_id")) or (only_id or stem_of(address))
    failure = settled(own) is False
    if "clip_id" not in given and not address and not failure:
        return None
    if failure and "error_message" not in given:
        given["error_message"] = reason_of_clip(item) or None
    return structure({**given, "clip_id": clip_id or "?"}, Clip, raw=item)


def stem_of(address: str) -> str:
    """Return the name of a file from its address, without its suffix; empty where that cannot be read."""
    try:
        return PurePosixPath(urlsplit(address).path).stem
    except ValueError:
        return ""


def _address(value: Any) -> str:
    return value if isinstance(value, str) and value.startswith(("https://", "http://")) else ""


def _word(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _refunded(fields: Mapping[str, Any], reason: str) -> bool | None:
    said = maybe_bool(fields.get("refund_processed"))
    if said is not None:
        return said
    lowered = reason.lower()
    return "not refunded" not in lowered if "refunded" in lowered else None
