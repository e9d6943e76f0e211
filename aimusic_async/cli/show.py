"""Results and records as lines for people. What the service wrote is untrusted text and goes through `safe`."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from ..api.results import Clip, ClipFiles, Clips, Lyrics, LyricsTimeline, Midi, Song

_JOINERS = "\u200c\u200d"  # letters of some scripts, and emoji, are made with them


def safe(text: object, *, lines: bool = False) -> str:
    """Return a text without what a terminal would obey or be misled by: control characters, marks that reverse text.

    `lines`: line breaks stay; otherwise all of it becomes one line.
    """
    kept = "".join(_safe(char) for char in str(text).replace("\r\n", "\n"))
    return "\n".join(line.rstrip() for line in kept.split("\n")) if lines else " ".join(kept.split())


def _safe(char: str) -> str:
    if char in "\n\t" or char in _JOINERS:
        return char
    return "" if unicodedata.category(char).startswith("C") else char


def length(seconds: float | None) -> str:
    """Return a duration as minutes and seconds."""
    return "" if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def result_lines(result: Any) -> Iterator[str]:
    """Yield a result as lines, safe for a terminal."""
    match result:
        case Clips():
            yield from _clips(result)
        case ClipFiles():
            yield from (f"{safe(file.format):<4}  {safe(file.url)}" for file in result.files)
        case Lyrics():
            for number, text in enumerate(result.results):
                yield from () if number == 0 else ("",)
                yield safe(text.title or "untitled")
                yield safe(text.lyrics, lines=True)
        case LyricsTimeline():
            for word in result.alignment:
                yield f"{word.start_s:8.2f} {word.end_s:8.2f}  {safe(word.word)}"
        case Midi():
            yield f"midi_url  {safe(result.midi_url)}"
            for part in result.instruments:
                yield f"{len(part.notes)} notes  {safe(part.name or 'unnamed')}"
        case _:
            yield from _fields(result)


def _clips(result: Clips) -> Iterator[str]:
    yield f"task {safe(result.task_id)}"
    whole = result.full if isinstance(result, Song) else ()
    for kind, clips in (("", result.clips), ("whole song: ", whole), ("failed: ", result.failed)):
        for clip in clips:
            parts = [kind + safe(clip.title or "untitled"), length(clip.duration), safe(clip.mv or "")]
            yield "  ".join(filter(None, parts))
            yield from (f"  {name:<6} {safe(value)}" for name, value in _clip_facts(clip) if value)


def _clip_facts(clip: Clip) -> Iterable[tuple[str, str | None]]:
    return (
        ("clip", clip.clip_id),
        ("stem", clip.stem_type),
        ("audio", clip.audio_url or clip.wav_url),
        ("error", clip.error_message),
    )


def _fields(result: Any) -> Iterator[str]:
    values = {name: getattr(result, name) for name in attrs.fields_dict(type(result)) if name != "raw"}
    width = max(map(len, values), default=0)
    for name, value in values.items():
        if value is not None:
            yield f"{name:<{width}}  {safe(value)}"
