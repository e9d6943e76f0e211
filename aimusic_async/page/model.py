"""What a page shows, as values: tracks with their files, words and stems, built from results. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import attrs

from ..api.results import AlignedWord, Clip, Clips, LyricsTimeline, Song, Stems

_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif"})
_AUDIO = frozenset({".mp3", ".wav", ".m4a", ".flac", ".ogg"})


@attrs.frozen
class Stem:
    """One part of a song: its name, such as `Vocals`, and the file."""

    name: str
    audio: Path


@attrs.frozen(kw_only=True)
class Track:
    """One entry of a page. All texts are untrusted: the page shows them and runs none of them."""

    key: str
    """Your name for it: the job's key, or the clip's id."""
    title: str
    audio: Path | None = None
    """The file; None when it failed, or when there are only stems."""
    cover: Path | None = None
    tags: str = ""
    lyrics: str = ""
    """Shown when there are no `words`."""
    words: Sequence[AlignedWord] = ()
    """The lyrics with their times, from a `LyricsTimeline`."""
    stems: Sequence[Stem] = ()
    duration: float | None = None
    """Seconds."""
    facts: Mapping[str, str] = attrs.field(factory=dict)
    """What else to show: model, credits, task id, …"""
    failed: str | None = None
    """Why there is no audio."""


def tracks_of(
    result: Clips,
    files: Iterable[Path],
    *,
    stems: Mapping[str, Stems] | None = None,
    timelines: Mapping[str, LyricsTimeline] | None = None,
    facts: Mapping[str, str] | None = None,
) -> list[Track]:
    """Return a track for each clip of a song, also for those that failed.

    `files`: what was downloaded: audio, covers, stems. Each belongs to the clip whose id is in its name, as in the
    names of `MusicSession.download`. If no name holds an id, the audio is taken in order, the song's clips before their
    stems, and a picture belongs to the audio of the same name. `stems` and `timelines`: by the id of the clip that they
    were made from. `facts`: shown for every clip, before its own.
    """
    stems, timelines = stems or {}, timelines or {}
    clips = [*result.clips, *(result.full if isinstance(result, Song) else ())]
    parts = [part for one in stems.values() for part in one.clips]
    audio, covers = _sorted_out(list(files), clips, parts)
    tracks = []
    for clip in (*clips, *result.failed):
        there = stems[clip.clip_id].parts if clip.clip_id in stems else {}
        own = {
            "model": clip.mv,
            "asked for": clip.gpt_description_prompt,
            "without": clip.negative_tags,
            "clip": clip.clip_id,
            "task": result.task_id,
        }
        failed = None
        if clip.failed or clip.clip_id not in audio:
            failed = clip.error_message or (f"the service says: {clip.state}" if clip.failed else "not downloaded")
        tracks.append(
            Track(
                key=clip.clip_id,
                title=clip.title or "",
                audio=audio.get(clip.clip_id),
                cover=covers.get(clip.clip_id),
                tags=clip.tags or "",
                lyrics=clip.lyrics or "",
                words=timelines[clip.clip_id].alignment if clip.clip_id in timelines else (),
                stems=[Stem(name, audio[part.clip_id]) for name, part in there.items() if part.clip_id in audio],
                duration=clip.duration,
                facts=dict(facts or {}) | {name: value for name, value in own.items() if value},
                failed=failed,
            )
        )
    return tracks


def _sorted_out(
    files: Sequence[Path], clips: Sequence[Clip], parts: Sequence[Clip]
) -> tuple[dict[str, Path], dict[str, Path]]:
    """Return the audio and the covers by clip id; if a name holds several ids, the longest counts."""
    sounds = [path for path in files if path.suffix.lower() in _AUDIO]
    pictures = [path for path in files if path.suffix.lower() in _PICTURES]
    ids = sorted((clip.clip_id for clip in (*clips, *parts) if clip.clip_id), key=len, reverse=True)

    def named(paths: Iterable[Path]) -> dict[str, Path]:
        found = ((next((name for name in ids if name in path.stem), None), path) for path in paths)
        return {clip_id: path for clip_id, path in reversed([*found]) if clip_id is not None}  # the first counts

    audio, covers = named(sounds), named(pictures)
    if not audio:
        both = [*clips, *parts]
        in_order = both if len(sounds) == len(both) else clips  # else nobody knows which stem is which
        audio = {clip.clip_id: path for clip, path in zip(in_order, sounds, strict=False)}
    beside = {path.with_suffix(""): path for path in pictures}
    same = {clip_id: beside[path.with_suffix("")] for clip_id, path in audio.items() if path.with_suffix("") in beside}
    return audio, same | covers


@attrs.frozen
class Piece:
    """A part of a line: a word with the seconds at which it is sung, or a text without times (`start` is None)."""

    text: str
    start: float | None = None
    end: float | None = None


@attrs.frozen
class Line:
    """A line of lyrics; one without pieces is a gap between stanzas."""

    pieces: tuple[Piece, ...] = ()
    heading: bool = False
    """A section tag, such as `Chorus`, without its brackets."""


def plain_lines(lyrics: str) -> list[Line]:
    """Return lyrics without times as lines to show."""
    return sung_lines([AlignedWord(word=lyrics, start_s=math.nan, end_s=math.nan)])


def sung_lines(words: Iterable[AlignedWord]) -> list[Line]:
    """Return a timeline as lines to show.

    Its words hold the line breaks and the section tags, and a tag may be spread over several words.
    """
    lines: list[Line] = []
    for row in _rows(words):
        pieces = tuple(_pieces(row))
        tag = "".join(letter for letter, _, in_tag in row if in_tag).strip("[] ")
        if tag:
            lines.append(Line((Piece(tag),), heading=True))
        if pieces or (not tag and lines and lines[-1].pieces):  # several empty lines are one gap
            lines.append(Line(pieces))
    while lines and not lines[-1].pieces:
        lines.pop()
    return lines


_Letter = tuple[str, AlignedWord, bool]
"""A character, its word, and whether it is part of a section tag."""


def _rows(words: Iterable[AlignedWord]) -> Iterator[list[_Letter]]:
    row, in_tag = list[_Letter](), False
    for word in words:
        for letter in word.word:
            if letter == "\n":
                yield row
                row, in_tag = [], False  # a bracket that nobody closed ends with its line
                continue
            in_tag = in_tag or letter == "["
            row.append((letter, word, in_tag))
            in_tag = in_tag and letter != "]"
    yield row


def _pieces(row: list[_Letter]) -> Iterator[Piece]:
    sung = ((letter, word) for letter, word, in_tag in row if not in_tag)
    for _, letters in groupby(sung, key=lambda one: id(one[1])):
        piece = list(letters)
        text, word = "".join(letter for letter, _ in piece), piece[0][1]
        if not text.strip():
            continue
        if math.isfinite(word.start_s) and math.isfinite(word.end_s):
            yield Piece(text, word.start_s, word.end_s)
        else:
            yield Piece(text)
