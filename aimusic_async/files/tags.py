"""ID3 tags for MP3 files, through mutagen (the extra `tags`): what the service says about a clip, and its cover."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from ..api.results import Clip, LyricsTimeline
from ..errors import ConfigurationError
from .lrc import synchronized

_NUMBER = re.compile(r"\((\d+|RX|CR)\)")
_MILLISECONDS = 2
_LYRICS = 1


def wanted(tags: bool | None) -> bool:  # noqa: FBT001 - the user's own argument, passed on
    """Whether to write tags: as the user says, else if mutagen is installed.

    Raises `ConfigurationError` when the user wants tags and mutagen is missing.
    """
    there = importlib.util.find_spec("mutagen") is not None
    if tags and not there:
        raise ConfigurationError("tags=True needs mutagen: pip install 'aimusic-async[tags]'")
    return there if tags is None else tags


@attrs.frozen(kw_only=True)
class Tags:
    """What to write into a file; empty texts are omitted."""

    title: str = ""
    genre: str = ""
    lyrics: str = ""
    comment: str = ""
    recorded: str = ""
    words: Sequence[tuple[str, int]] = ()
    """What is sung, word by word, each with its milliseconds from the beginning."""
    cover: bytes | None = None
    """A JPEG or PNG picture; anything else is omitted."""

    @classmethod
    def of(cls, clip: Clip, cover: bytes | None, timeline: LyricsTimeline | None = None) -> Tags:
        """Return the tags of a clip; with its `timeline`, players can show each word as it is sung."""
        return cls(
            title=clip.title or "",
            genre=clip.tags or "",
            lyrics=clip.lyrics or "",
            comment=f"clip {clip.clip_id}",
            recorded=clip.created_at.strftime("%Y-%m-%dT%H:%M:%S") if clip.created_at else "",
            words=synchronized(timeline) if timeline is not None else (),
            cover=cover,
        )


def write_tags(path: Path, tags: Tags) -> bool:
    """Write tags into an MP3 file; return False and leave any other file untouched. Blocks; raises `OSError`."""
    import mutagen.id3  # noqa: PLC0415 - an extra, needed only here

    if not _is_mp3(path):
        return False
    id3: Any = mutagen.id3  # most of it has no types
    frames = id3.ID3()
    try:
        frames.load(path)
    except id3.ID3NoHeaderError:
        pass
    except (mutagen.MutagenError, ValueError, ArithmeticError, LookupError):  # it has tags that nobody can read
        return False
    texts = {"TIT2": tags.title, "TDRC": tags.recorded}
    new: list[Any] = [getattr(id3, name)(encoding=1, text=[_clean(text)]) for name, text in texts.items() if text]
    if tags.lyrics:
        new.append(id3.USLT(encoding=1, lang="XXX", desc="", text=_clean(tags.lyrics)))
    if tags.words:
        words = [(text, at) for word, at in tags.words if (text := _clean(word))]
        new.append(id3.SYLT(encoding=1, lang="XXX", format=_MILLISECONDS, type=_LYRICS, desc="", text=words))
    if tags.comment:
        new.append(id3.COMM(encoding=1, lang="XXX", desc="", text=[_clean(tags.comment)]))
    if tags.cover and (kind := _picture(tags.cover)):
        new.append(id3.APIC(encoding=0, mime=kind, type=3, desc="", data=tags.cover))
    for frame in new:
        frames.delall(frame.FrameID)
        frames.add(frame)
    try:
        frames.update_to_v23()  # which old players read too
        if tags.genre:  # not before: that takes numbers for those of genres
            frames.setall("TCON", [id3.TCON(encoding=1, text=[_genre(_clean(tags.genre))])])
        frames.save(path, v2_version=3)
    except mutagen.MutagenError as error:
        raise OSError(f"tags could not be written into {path}: {error}") from error
    return True


def tag_size(head: bytes) -> int:
    """Return how many bytes of ID3 tags a file begins with, by its first ten bytes."""
    if len(head) < 10 or head[:3] != b"ID3" or any(byte & 0x80 for byte in head[6:10]):
        return 0
    footer = 10 if head[5] & 0x10 else 0
    return 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]) + footer


def _is_mp3(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(10)
        file.seek(tag_size(head))
        frame = file.read(2)
    return len(frame) == 2 and frame[0] == 0xFF and frame[1] & 0xE6 == 0xE2  # sync bits, and layer III


def _picture(data: bytes) -> str | None:
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    return "image/png" if data.startswith(b"\x89PNG\r\n\x1a\n") else None


def _genre(text: str) -> str:
    """Return a genre that no player takes for the number of one, or for a word that stands for one."""
    if text.isdigit() or text in {"RX", "CR"}:
        return f"{text} "
    return f"({text}" if _NUMBER.match(text) else text  # a doubled bracket is one, and no number


def _clean(text: str) -> str:
    """Remove null characters, which end a text in a tag, and lone surrogates, which no encoding has."""
    return text.replace("\x00", "").encode(errors="ignore").decode()
