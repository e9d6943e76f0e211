"""Turns drafts of songs into clips and tasks, with all their times fixed at acceptance."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from aimusic_async.sandbox.audio import Audio
from aimusic_async.sandbox.desk import Visit
from aimusic_async.sandbox.tasks import FULL_IS_JOINED_FROM, Clip, Family, Pair, Score, Task
from aimusic_async.sandbox.timing import Timetable
from aimusic_async.sandbox.words import INSTRUMENTAL

LONGEST = 3600.0
"""Seconds of the longest tune; a song that is extended again and again grows no further."""


@frozen(kw_only=True)
class Draft:
    """A song that is to be made."""

    score: Score
    title: str
    tags: str
    lyrics: str
    mv: str
    parts: tuple[str, ...] | None = None
    stem_type: str | None = None
    extends: tuple[str, float] | None = None
    fields: Mapping[str, Any] = {}


def draft(
    visit: Visit,
    *,
    title: str,
    tags: str,
    lyrics: str,
    seconds: float,
    mv: str,
    seed: int | None = None,
    extends: tuple[str, float] | None = None,
    fields: Mapping[str, Any] | None = None,
) -> Draft:
    """A song with a tune of its own (or that of `seed`)."""
    score = Score(
        seed=visit.chance.getrandbits(32) if seed is None else seed,
        title=title,
        tags=tags,
        lyrics=lyrics,
        seconds=min(seconds, LONGEST),
        instrumental=lyrics == INSTRUMENTAL,
    )
    return Draft(score=score, title=title, tags=tags, lyrics=lyrics, mv=mv, extends=extends, fields=fields or {})


def clip_of(visit: Visit, family: Family, made: Draft, times: Timetable, index: int) -> Clip:
    """The clip that comes of a draft."""
    return Clip(
        id=visit.new_id(),
        key=visit.key,
        family=family,
        operation=visit.operation.name,
        score=made.score,
        title=made.title,
        tags=made.tags,
        lyrics=made.lyrics,
        mv=made.mv,
        seconds=made.score.seconds,
        accepted_at=times.accepted_at,
        shown_at=times.shown_at,
        settles_at=times.settles_at[index],
        fails=times.fails[index],
        parts=made.parts,
        stem_type=made.stem_type,
        extends=made.extends,
        fields=made.fields,
    )


def task_of(visit: Visit, family: Family, times: Timetable, task_id: str | None = None, **more: Any) -> Task:
    """The task of a timetable."""
    return Task(
        id=task_id or visit.new_id(),
        key=visit.key,
        family=family,
        operation=visit.operation.name,
        accepted_at=times.accepted_at,
        shown_at=times.shown_at,
        ends_at=times.ends_at,
        failed=times.failed,
        timed_out=times.timed_out,
        **more,
    )


def songs_task(visit: Visit, family: Family, drafts: Sequence[Draft], *, after: float = 0.0) -> Task:
    """A task that makes one clip a draft, starting `after` (real) seconds from now."""
    task_id = visit.new_id()
    times = visit.timetable(len(drafts), after=after)
    clips = tuple(clip_of(visit, family, made, times, index) for index, made in enumerate(drafts))
    return task_of(visit, family, times, task_id, clips=clips)


def pairs_task(visit: Visit, name: str, parts: Sequence[Draft], fulls: Sequence[Draft], *, after: float = 0.0) -> Task:
    """A Sonic task that makes parts, called `name`, and the whole songs that they belong to."""
    task_id = visit.new_id()
    times = visit.timetable(len(parts), after=after)
    early = Timetable(
        accepted_at=times.accepted_at,
        shown_at=times.shown_at,
        settles_at=tuple(
            times.accepted_at + max(FULL_IS_JOINED_FROM * (at - times.accepted_at), times.shown_at - times.accepted_at)
            for at in times.settles_at
        ),
        fails=times.fails,
        timed_out=times.timed_out,
    )
    pairs = tuple(
        Pair(
            part=clip_of(visit, "sonic", part, early, index),
            full=clip_of(visit, "sonic", full, times, index),
        )
        for index, (part, full) in enumerate(zip(parts, fulls, strict=True))
    )
    return task_of(visit, "sonic", times, task_id, pairs=pairs, part_name=name)


def uploaded_clip(
    visit: Visit, family: Family, audio: Audio, *, ready_at: float = 0.0, times: Timetable | None = None
) -> Clip:
    """The clip of a recording, ready at `ready_at` or as `times` has it.

    What the sandbox says about it (tempo, notes, stems) is made up: it does not listen.
    """
    seconds = audio.seconds if audio.seconds is not None else visit.options.song_seconds[0]
    score = Score(seed=visit.chance.getrandbits(32), title="Upload", seconds=max(round(seconds, 2), 0.1))
    return Clip(
        id=visit.new_id(),
        key=visit.key,
        family=family,
        operation=visit.operation.name,
        score=score,
        title="Upload",
        tags="",
        lyrics="",
        mv="",
        seconds=audio.seconds,
        accepted_at=visit.at,
        shown_at=times.shown_at if times else ready_at,
        settles_at=times.ends_at if times else ready_at,
        fails=times.failed if times else False,
        audio=audio,
    )
