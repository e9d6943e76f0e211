"""`write_page`: renders tracks and a history into one `index.html` beside the audio; everything it shows is escaped."""

from __future__ import annotations

import base64
import hashlib
import math
import os
import secrets
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs

from ..errors import ConfigurationError
from ..renaming import replace
from .history import Batch, History
from .model import Line, Track, plain_lines, sung_lines
from .picture import clock, counted, kind_of, picture, summary

_NAME = "index.html"


def write_page(
    folder: str | os.PathLike[str], tracks: Iterable[Track], history: History | None = None, *, title: str = "Songs"
) -> Path:
    """Write `index.html` into the folder of the audio, and return its path; an older one is replaced.

    The page refers only to files inside the folder, by relative addresses, so that both can be moved and served
    together; it works from disk and without a network. It appears once it is whole. Blocks on the disk: in a coroutine,
    use `await asyncio.to_thread(write_page, …)`. Raises `ConfigurationError` for a file that is missing or outside of
    the folder, and without the extra `page`; `OSError` when it cannot be written.
    """
    place = Path(folder).resolve()
    shown = [_shown(place, number, track) for number, track in enumerate(tracks, 1)]
    text = _filled(shown, history.batch() if history is not None else None, title)
    place.mkdir(parents=True, exist_ok=True)
    unfinished = place / f".{secrets.token_hex(8)}.part"
    try:
        # A lone surrogate, which JSON may hold, is no character: it becomes a question mark.
        unfinished.write_bytes(text.encode(errors="replace"))
        replace(unfinished, place / _NAME)
    finally:
        unfinished.unlink(missing_ok=True)
    return Path(folder) / _NAME


@attrs.frozen(kw_only=True)
class _Shown:
    """A track as the template wants it: files are addresses."""

    number: int
    title: str
    track: Track
    audio: str | None
    cover: str | None
    stems: list[tuple[str, str]]
    lines: list[Line]
    seconds: float | None
    parts_only: bool

    @property
    def timed(self) -> bool:
        """Whether any word has its time."""
        return any(piece.start is not None for line in self.lines for piece in line.pieces)

    def data(self) -> dict[str, Any]:
        """Return what the script needs."""
        words = [(piece.start, piece.end) for line in self.lines for piece in line.pieces if piece.start is not None]
        return {"title": self.title, "seconds": self.seconds, "partsOnly": self.parts_only, "words": words}


def _shown(place: Path, number: int, track: Track) -> _Shown:
    stems = [(stem.name, _address(place, stem.audio)) for stem in track.stems]
    parts_only = track.audio is None and bool(stems)
    seconds = track.duration
    return _Shown(
        number=number,
        title=track.title.strip() or "untitled",
        track=track,
        # If there are only stems, one keeps the time, muted.
        audio=stems[0][1] if parts_only else None if track.audio is None else _address(place, track.audio),
        cover=None if track.cover is None else _address(place, track.cover),
        stems=stems,
        lines=sung_lines(track.words) or plain_lines(track.lyrics),
        seconds=seconds if seconds is not None and math.isfinite(seconds) and seconds > 0 else None,
        parts_only=parts_only,
    )


def _address(place: Path, path: Path) -> str:
    """Return a file's address, relative to the page: never one with a scheme or a way out."""
    there = path.parent.resolve() / path.name
    if not there.is_relative_to(place):
        raise ConfigurationError(f"{path} is not inside of {place}: a page shows only files beside it")
    if not there.is_file():
        raise ConfigurationError(f"{path} is missing, or not a file")
    return "/".join(quote(os.fsencode(part), safe="") for part in there.relative_to(place).parts)


def _filled(shown: list[_Shown], batch: Batch | None, title: str) -> str:
    try:
        from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - an extra: only a page needs it
        from markupsafe import Markup  # noqa: PLC0415 - as above
    except ImportError as error:
        raise ConfigurationError("a page needs the extra `page`: pip install 'aimusic-async[page]'") from error

    style, script = _part("page.css"), _part("page.js")
    world = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    world.filters |= {"clock": clock, "kind": kind_of}
    return world.from_string(_part("index.html.j2")).render(
        title=title,
        summary=_summary(shown, batch),
        tracks=shown,
        data={"tracks": [one.data() for one in shown]},
        batch=batch,
        picture=None if batch is None else picture(batch),
        batch_summary="" if batch is None else summary(batch),
        style=Markup(style),  # noqa: S704 - ours, and named by its hash in the page's policy
        script=Markup(script),  # noqa: S704 - as above
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


def _part(name: str) -> str:
    return files(__name__.rpartition(".")[0]).joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    """Return the name of a script or style in a Content-Security-Policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _summary(shown: list[_Shown], batch: Batch | None) -> str:
    there = [one for one in shown if one.audio]
    parts = [counted(len(there), "track")]
    if seconds := sum(one.seconds or 0 for one in there):
        parts.append(clock(seconds))
    if missing := len(shown) - len(there):
        parts.append(f"{missing} failed")
    if batch is not None:
        parts.append(f"{counted(len(batch.requests), 'request')} in {clock(batch.length)}")
    return " · ".join(parts)
