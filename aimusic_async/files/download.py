"""Saves songs and their files: which files under which names, a few at a time, each whole or absent."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeAlias, get_args

import anyio
import attrs

from ..api.clips import stem_of
from ..api.results import Clip, ClipFile, ClipFiles, Clips, LyricsTimeline, Midi, Song, Stems, Wav
from ..errors import ConfigurationError, TransportError
from ..jobs.job import Job
from ..renaming import replace
from ..settings import check_function, check_positive, scheme_and_host
from . import tags as tagging
from .fetch import Remote, fetch, in_thread, is_here, read_small
from .hosts import Connections, FileHosts, FileTrouble
from .lrc import lrc
from .names import Template, alike, stems
from .partial import Part, clear
from .related import join

Format: TypeAlias = Literal["audio", "cover", "video", "lyrics"]
Saveable: TypeAlias = Clips | Clip | ClipFiles | Wav | Midi | LyricsTimeline | Job[Any]

_LARGEST_COVER = 8 * 2**20

_SUFFIXES = {  # the first is for addresses that have none of them
    "audio": (".mp3", ".wav", ".m4a", ".flac", ".ogg", ".aac", ".opus"),
    "cover": (".jpeg", ".jpg", ".png", ".webp"),
    "video": (".mp4", ".webm", ".mov"),
    "midi": (".mid", ".midi"),
}


@attrs.frozen(kw_only=True)
class DownloadProgress:
    """The progress of one file."""

    path: Path
    """Where it will be."""
    done: int
    """Bytes on disk, those of an earlier run included."""
    total: int | None
    """Bytes of the whole; None when the host did not say."""


class DownloadFailed(TransportError):
    """A file could not be downloaded; all other files of the same call were saved.

    `clip_id` and `host` say which. `expired`: the host has nothing at this address, or not any more; poll the task
    again (`MusicSession.attach`) for a new one. Otherwise the same call may succeed later: it goes on where this one
    stopped. `saved`: the files that were saved.
    """

    def __init__(
        self,
        message: str,
        clip_id: str = "",
        host: str = "",
        expired: bool = False,  # noqa: FBT001, FBT002 - `cls(*args)` has no names
    ) -> None:
        """Say what could not be downloaded, and why."""
        self.clip_id = clip_id
        self.host = host
        self.expired = expired
        self.saved: list[Path] = []
        super().__init__(message)


@attrs.frozen(kw_only=True)
class Wishes:
    """How to save files; `MusicSession.download` documents each field."""

    formats: Collection[Format]
    template: Template
    overwrite: bool
    tags: bool
    most_bytes: int
    stall_timeout: float
    progress: Callable[[DownloadProgress], None] | None

    @classmethod
    def check(
        cls,
        *,
        formats: str | Collection[str],
        name: str,
        overwrite: bool,
        tags: bool | None,
        most_bytes: int,
        stall_timeout: float,
        progress: Callable[[DownloadProgress], None] | None,
    ) -> Wishes:
        """Raise `ConfigurationError` for what makes no sense."""
        given: list[Any]
        try:
            given = [formats] if isinstance(formats, str) else list(formats)
        except TypeError:
            given = [formats]
        known: list[Format] = [one for one in get_args(Format) if one in given]
        strange = [one for one in given if one not in known]
        if strange or not given:
            wrong = ", ".join(map(repr, strange)) or "nothing"
            raise ConfigurationError(f"formats holds {wrong}; known are {', '.join(get_args(Format))}")
        check_positive("most_bytes", most_bytes)
        check_positive("stall_timeout", stall_timeout)
        if progress is not None:
            check_function("progress", progress)
        return cls(
            formats=known,
            template=Template.parse(name),
            overwrite=overwrite,
            tags=tagging.wanted(tags),
            most_bytes=most_bytes,
            stall_timeout=stall_timeout,
            progress=progress,
        )


@attrs.frozen(kw_only=True)
class _Thing:
    """A clip or a file of one, and the job it came from."""

    what: Clip | ClipFiles | Wav | Midi | LyricsTimeline
    part: str = ""
    job: Job[Any] | None = None
    song: str = ""
    """The title of the clip that a WAV, a MIDI or a timeline belongs to, as far as it is known."""
    timeline: LyricsTimeline | None = None
    """When each word of the clip is sung, if that is saved with it."""

    @property
    def clip_id(self) -> str:
        match self.what:
            case Clip(clip_id=name):
                return name
            case Wav(wav_url=url) | Midi(midi_url=url):
                known = stem_of(url)
            case ClipFiles(files=files):
                known = stem_of(files[0].url)
            case LyricsTimeline() as timeline:
                known = hashlib.sha256(lrc(timeline).encode(errors="replace")).hexdigest()[:12]
        asked = getattr(self.job.request, "clip_id", None) if self.job is not None else None
        return asked if isinstance(asked, str) else known

    def values(self, index: str) -> Mapping[str, str]:
        """Return the values of the fields of a name."""
        title = self.what.title if isinstance(self.what, Clip) else self.song
        job = {"operation": self.job.operation.operation, "key": self.job.key} if self.job is not None else {}
        return {"title": title or "", "clip_id": self.clip_id, "index": index, "part": self.part, **job}

    def files(self, formats: Collection[Format]) -> Iterator[tuple[str, str, str]]:
        """Yield kind and suffix of each file, and its address, or the text that it will hold."""
        match self.what:
            case Wav(wav_url=url):
                yield "audio", ".wav", url
            case ClipFiles(files=files):
                for suffix, url in {_suffix_of(one): one.url for one in files}.items():
                    yield "audio", suffix, url
            case Midi(midi_url=url):
                yield "midi", _suffix("midi", url), url
            case LyricsTimeline() as timeline:
                yield "text", ".lrc", lrc(timeline)
            case Clip() as clip:
                urls = {"audio": clip.audio_url or clip.wav_url, "cover": clip.image_url, "video": clip.video_url}
                for one in formats:
                    if one == "lyrics":
                        if clip.lyrics:
                            yield "text", ".txt", clip.lyrics
                    elif one == "audio" or urls[one]:
                        yield one, _suffix(one, urls[one] or ""), urls[one] or ""


@attrs.frozen(kw_only=True)
class _File:
    """One file to save."""

    thing: _Thing
    kind: str
    content: str
    """Its address, or its text."""
    path: Path
    spare: Path | None
    """Where it goes when another file has `path`; None when its name holds the clip's id, and so is unique."""

    @property
    def places(self) -> tuple[Path, ...]:
        """Where it may be."""
        return (self.path,) if self.spare is None else (self.path, self.spare)


async def download(hosts: FileHosts, what: Saveable | Iterable[Saveable], folder: Path, wishes: Wishes) -> list[Path]:
    """Save files, a few at a time, and return them in order; see `MusicSession.download`."""
    things = list({thing.what: thing async for thing in _things(what)}.values())  # duplicates are saved once
    things = join(things, hosts.titles)
    if known := wishes.template.fields & {"operation", "key"}:
        for thing in things:
            if thing.job is None:
                raise ConfigurationError(f"{{{min(known)}}} in name is known of a job only: download(job, …)")
    plan = _plan(things, folder, wishes)
    await in_thread(_make, folder)
    saved: dict[int, Path] = {}
    failures: list[DownloadFailed] = []

    async def save(number: int, file: _File) -> None:
        try:
            async with connections.at_once:
                saved[number] = await _save(connections, file, wishes)
        except DownloadFailed as error:
            failures.append(error)

    try:
        async with hosts.connections() as connections, anyio.create_task_group() as group:
            for number, file in enumerate(plan):
                group.start_soon(save, number, file)
    except ExceptionGroup as errors:  # no TransportError: the disk is full, the progress function raises, …
        raise _first(errors) from None
    files = [saved[number] for number in sorted(saved)]
    if failures:
        failures[0].saved = files
        for other in failures[1:]:
            failures[0].add_note(f"also: {other}")
        raise failures[0]
    return files


def _first(errors: ExceptionGroup[Exception]) -> Exception:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, ExceptionGroup) else first


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)


# --- which files, under which names ----------------------------------------------------------------------------------


async def _things(what: object, job: Job[Any] | None = None) -> AsyncIterator[_Thing]:
    match what:
        case Job():
            async for thing in _things(await what, what):
                yield thing
        case Stems():
            for part, clip in what.parts.items():
                yield _Thing(what=clip, part=part, job=job)
        case Clips():
            for clip in (*what.clips, *(what.full if isinstance(what, Song) else ())):
                yield _Thing(what=clip, job=job)
        case Clip():
            yield _Thing(what=what, part=what.stem_type or "", job=job)
        case ClipFiles() | Wav() | Midi() | LyricsTimeline():
            yield _Thing(what=what, job=job)
        case Iterable() if not isinstance(what, str | bytes | Mapping):
            for one in what:
                async for thing in _things(one, job):
                    yield thing
        case _:
            raise ConfigurationError(
                f"a {type(what).__name__} has no files: download takes songs, stems, clips, their files, WAV, MIDI and "
                "timelines, and the jobs that make them"
            )


def _plan(things: list[_Thing], folder: Path, wishes: Wishes) -> list[_File]:
    plan: list[_File] = []
    taken: set[str] = set()
    unique = "clip_id" in wishes.template.fields

    def free(names: Iterator[str], suffixes: Collection[str]) -> str:
        for name in names:
            if taken.isdisjoint(wanted := {alike(name + suffix) for suffix in suffixes}):
                taken.update(wanted)
                return name
        raise AssertionError  # there is no end of names

    for number, thing in enumerate(things, 1):
        stem = wishes.template.stem(thing.values(f"{number:0{max(2, len(str(len(things))))}}"))
        files = list(thing.files(wishes.formats))
        suffixes = [suffix for _, suffix, _ in files]
        name = free(stems(stem, thing.clip_id), suffixes)
        spare = None if unique else free(itertools.islice(stems(stem, thing.clip_id), 1, None), suffixes)
        for kind, suffix, content in files:
            other = None if spare is None else folder / f"{spare}{suffix}"
            path = folder / f"{name}{suffix}"
            plan.append(_File(thing=thing, kind=kind, content=content, path=path, spare=other))
    return plan


def _suffix(kind: str, url: str) -> str:
    suffix = PurePosixPath(url.partition("?")[0]).suffix.lower()
    return suffix if suffix in _SUFFIXES[kind] else _SUFFIXES[kind][0]


def _suffix_of(file: ClipFile) -> str:
    named = f".{file.format.lower()}"
    return named if named in _SUFFIXES["audio"] else _suffix("audio", file.url)


# --- one file --------------------------------------------------------------------------------------------------------


async def _save(hosts: Connections, file: _File, wishes: Wishes) -> Path:
    if file.kind == "text":
        return await in_thread(_save_text, file, wishes.overwrite)
    clip_id, host = file.thing.clip_id, scheme_and_host(file.content)[1]
    if not host:
        raise DownloadFailed(f"clip {clip_id} has no {file.kind} to download", clip_id=clip_id)
    if isinstance(file.thing.what, Clip) and not file.thing.what.succeeded:
        state = file.thing.what.state
        raise DownloadFailed(f"clip {clip_id} is not finished (state {state})", clip_id=clip_id, host=host)
    try:
        return await _save_remote(hosts, file, wishes)
    except FileTrouble as trouble:
        advice = "; the address may have expired: poll the task again (attach) for a new one"
        raise DownloadFailed(
            f"the {file.kind} of clip {clip_id} could not be downloaded from {host}: {trouble.reason}"
            f"{advice if trouble.expired else ''}",
            clip_id=clip_id,
            host=host,
            expired=trouble.expired,
        ) from None  # its context may hold the whole address


async def _save_remote(hosts: Connections, file: _File, wishes: Wishes) -> Path:
    def report(path: Path, done: int, total: int | None) -> None:
        if wishes.progress is not None:
            wishes.progress(DownloadProgress(path=path, done=done, total=total))

    remote = Remote(url=file.content, kind=file.kind, most_bytes=wishes.most_bytes, stall_timeout=wishes.stall_timeout)
    path = file.path
    if not wishes.overwrite:
        for place in file.places:
            path = place
            if not await in_thread(place.is_file):
                break
            if await _is_here(hosts, remote, place, unique=file.spare is None):
                await in_thread(clear, place)
                size = (await in_thread(place.stat)).st_size
                report(place, size, size)
                return place
    part = Part(path)
    try:
        await in_thread(part.open)
        await fetch(hosts, remote, part, functools.partial(report, path))
        size = part.size
        await in_thread(part.seal)
        clip = file.thing.what
        if wishes.tags and isinstance(clip, Clip) and path.suffix == ".mp3":
            cover = await _cover(hosts, clip, wishes)
            await in_thread(tagging.write_tags, part.path, tagging.Tags.of(clip, cover, file.thing.timeline))
        await in_thread(part.finish, path)
    finally:
        await in_thread(part.release)
    await in_thread(clear, path)
    report(path, size, size)
    return path


def _save_text(file: _File, overwrite: bool) -> Path:  # noqa: FBT001 - called through a thread, which takes no names
    """Write a text of the service, unless the file exists; one that somebody changed meanwhile stays."""
    data = file.content.encode(errors="replace")
    path = file.path
    if not overwrite:
        for place in file.places:
            path = place
            if not place.is_file():
                break
            if file.spare in {None, place} or place.read_bytes() == data:
                return place
    unfinished = path.with_name(f".{secrets.token_hex(12)}.part")
    try:
        unfinished.write_bytes(data)
        replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


async def _is_here(hosts: Connections, remote: Remote, path: Path, *, unique: bool) -> bool:
    try:
        return await is_here(hosts, remote, path)
    except FileTrouble as trouble:
        # A file gets its name only when it is whole; when nobody can compare any more, that is enough.
        return trouble.expired and unique


async def _cover(hosts: Connections, clip: Clip, wishes: Wishes) -> bytes | None:
    if not clip.image_url:
        return None
    remote = Remote(
        url=clip.image_url,
        kind="cover",
        most_bytes=min(_LARGEST_COVER, wishes.most_bytes),
        stall_timeout=wishes.stall_timeout,
    )
    with contextlib.suppress(FileTrouble):  # a song without its cover is better than none
        return await read_small(hosts, remote)
    return None
