"""What becomes of a Sonic request that makes songs: create, extend, cover, join, remaster, sample, mash up, replace."""

from collections.abc import Sequence

from attrs import evolve, frozen

from aimusic_async.sandbox import texts, words
from aimusic_async.sandbox.audio import Audio
from aimusic_async.sandbox.desk import Visit
from aimusic_async.sandbox.making import Draft, draft, pairs_task, songs_task, uploaded_clip
from aimusic_async.sandbox.shelf import Source
from aimusic_async.sandbox.tasks import Clip
from aimusic_async.sandbox.texts import Answer
from aimusic_async.sandbox.timing import stream

_ECHOED = ("gpt_description_prompt", "negative_tags", "style_weight", "weirdness_constraint")
_DECIBELS = {"subtle": 1.5, "normal": 3.0, "high": 5.0}
_SOURCES = ("continue_clip_id", "clip_id", "sample_clip_id", "mashup_clip_ids")


@frozen
class _Words:
    title: str
    tags: str
    lyrics: str


def _words(visit: Visit, source: Clip | None) -> _Words:
    """Title, tags and lyrics: those of the request, else the source's, else made up."""
    body = visit.body
    described = body.get("custom_mode") is False or body.get("auto_lyrics") is True
    brief = str(body.get("gpt_description_prompt" if body.get("custom_mode") is False else "prompt", ""))
    if body.get("make_instrumental") is True:
        lyrics = words.INSTRUMENTAL
    elif described:
        lyrics = words.lyrics_about(brief, visit.chance)
    else:
        lyrics = str(body.get("prompt") or (source.lyrics if source else "") or words.INSTRUMENTAL)
    title = body.get("title") or (source.title if source else "") or words.title_of(brief or lyrics)
    if body.get("custom_mode") is False and stream(visit.options.seed, visit.ordinal, "title").random() < (
        visit.options.rewritten_titles
    ):
        title = words.title_of(brief)
    tags = body.get("tags") or (source.tags if source else "")
    if not tags and described:
        tags = words.tags_for(brief, visit.chance)
    return _Words(str(title), str(tags), lyrics)


def _echo(visit: Visit) -> dict[str, object]:
    return {name: visit.body[name] for name in _ECHOED if name in visit.body}


def _source(visit: Visit) -> Clip | None:
    return next((visit.clip(name) for name in _SOURCES if name in visit.clips), None)


def _drafts(
    visit: Visit, source: Clip | None, *, seconds: float | None = None, extends: tuple[str, float] | None = None
) -> list[Draft]:
    said = _words(visit, source)
    return [
        draft(
            visit,
            title=said.title,
            tags=said.tags,
            lyrics=said.lyrics,
            seconds=seconds or visit.song_seconds(),
            mv=str(visit.body["mv"]),
            extends=extends,
            fields=_echo(visit),
        )
        for _ in range(visit.options.clips_per_task)
    ]


def _joined(visit: Visit, source: Clip, part: Draft, at: float) -> Draft:
    """The source up to `at`, and then the part."""
    lyrics = "\n\n".join(text for text in (source.lyrics, part.lyrics) if text) or words.INSTRUMENTAL
    return draft(
        visit,
        title=part.title,
        tags=part.tags or source.tags,
        lyrics=lyrics,
        seconds=round(at + part.score.seconds, 2),
        mv=part.mv,
        seed=source.score.seed,
        fields=part.fields,
    )


def _inside(visit: Visit, name: str, seconds: float | None) -> None:
    if seconds is not None and visit.body[name] > seconds:
        raise texts.invalid(f"The '{name}' field should be inside the source, which lasts {seconds:.2f} seconds.")


def create(visit: Visit) -> Answer:
    """New songs, whatever they start from."""
    return visit.submitted(songs_task(visit, "sonic", _drafts(visit, _source(visit))))


def persona(visit: Visit) -> Answer:
    """New songs in a voice that was made before."""
    persona_id = str(visit.body["persona_id"])
    if visit.world.shelf.personas.get(persona_id) != visit.key:
        raise texts.not_found(f"persona '{persona_id}' not found.")
    return create(visit)


def extend(visit: Visit) -> Answer:
    """The continuation of a song: only the new part."""
    source = visit.clip("continue_clip_id")
    if "continue_at" in visit.body:
        _inside(visit, "continue_at", source.seconds)
    at = float(visit.body.get("continue_at", source.score.seconds))
    return visit.submitted(songs_task(visit, "sonic", _drafts(visit, source, extends=(source.id, at))))


def again(visit: Visit) -> Answer:
    """The same length with something changed: a cover, a voice or a backing added."""
    source = visit.clip("continue_clip_id")
    seconds = visit.body.get("duration", source.seconds)
    return visit.submitted(songs_task(visit, "sonic", _drafts(visit, source, seconds=seconds)))


def add_part(visit: Visit) -> Answer:
    """A voice or a backing for an uploaded clip, which may have to be fresh."""
    clip = visit.clip("continue_clip_id")
    if visit.options.strict_24h and (visit.at - clip.settles_at) * visit.options.speed > 24 * 3600:
        raise texts.invalid(f"The clip '{clip.id}' is older than 24 hours.")
    return again(visit)


def concat(visit: Visit) -> Answer:
    """A song and its continuation in one piece."""
    part = visit.clip("continue_clip_id")
    source_id, at = part.extends or ("", 0.0)
    source = visit.world.shelf.clips[source_id]
    last = Draft(
        score=part.score, title=source.title, tags=part.tags, lyrics=part.lyrics, mv=part.mv, fields=part.fields
    )
    return visit.submitted(songs_task(visit, "sonic", [_joined(visit, source, last, at)]))


def remaster(visit: Visit) -> Answer:
    """The same tune in other mixes."""
    source = visit.clip("continue_clip_id")
    decibels = _DECIBELS[visit.body.get("variation_category", "normal")]
    mixes = [
        Draft(
            score=evolve(source.score, mix=(visit.chance.getrandbits(32), decibels)),
            title=source.title,
            tags=source.tags,
            lyrics=source.lyrics,
            mv=str(visit.body["mv"]),
        )
        for _ in range(visit.options.clips_per_task)
    ]
    return visit.submitted(songs_task(visit, "sonic", mixes))


def sample(visit: Visit) -> Answer:
    """A song that grows out of a segment of another, or of a recording."""
    source = _source(visit)
    seconds = visit.audio.seconds if visit.audio else source.seconds if source else None
    _inside(visit, "chop_sample_start_s", seconds)
    return visit.submitted(songs_task(visit, "sonic", _drafts(visit, None)))


def replace_section(visit: Visit) -> Answer:
    """New words for a section: the section, and with `auto_concat` also the whole song."""
    source, body = visit.clip("clip_id"), visit.body
    _inside(visit, "infill_start_s", source.seconds)
    start = float(body["infill_start_s"])
    end = min(float(body["infill_end_s"]), source.seconds or float(body["infill_end_s"]))
    title, tags = str(body.get("title") or source.title), str(body.get("tags") or source.tags)

    def version(lyrics: str, seconds: float) -> Draft:
        return draft(
            visit,
            title=title,
            tags=tags,
            lyrics=lyrics,
            seconds=round(seconds, 2),
            mv=str(body["mv"]),
            seed=source.score.seed,
            fields=_echo(visit),
        )

    count = visit.options.clips_per_task
    sections = [version(str(body["infill_lyrics"]), max(end - start, 1.0)) for _ in range(count)]
    if body.get("auto_concat") is not True:
        return visit.submitted(songs_task(visit, "sonic", sections))
    wholes = [version(f"{body['prompt']}\n{body['infill_lyrics']}", source.score.seconds) for _ in range(count)]
    return visit.submitted(pairs_task(visit, "replaced", sections, wholes))


def _composite(visit: Visit, step: str, name: str | None) -> Answer:
    """Upload a recording and go on from it, in one slow request."""
    audio = _recording(visit)
    wait = visit.answer_seconds()
    clip = uploaded_clip(visit, "sonic", audio, ready_at=visit.at + wait)
    if name is None:
        drafts: Sequence[Draft] = _drafts(visit, None, seconds=visit.body.get("duration", clip.seconds))
    else:
        drafts = _drafts(visit, None, extends=(clip.id, float(visit.body["continue_at"])))
    if name is not None and visit.body.get("auto_concat") is True:
        at = float(visit.body["continue_at"])
        task = pairs_task(visit, name, drafts, [_joined(visit, clip, one, at) for one in drafts], after=wait)
    else:
        task = songs_task(visit, "sonic", drafts, after=wait)
    visit.take(task, [clip])
    steps = {
        "upload": {"clip_id": clip.id, "message": "success"},
        step: {"task_id": task.id, "message": "success"},
    }
    return Answer(body={"code": 200, "message": "success", "task_id": task.id, "steps": steps}, after=wait)


def _recording(visit: Visit) -> Audio:
    if visit.audio is None:
        raise texts.invalid(texts.AUDIO_UNREACHABLE)
    return visit.audio


def upload_extend(visit: Visit) -> Answer:
    """Upload a recording and continue it."""
    _inside(visit, "continue_at", _recording(visit).seconds)
    return _composite(visit, "extend", "extended")


def upload_cover(visit: Visit) -> Answer:
    """Upload a recording and cover it."""
    return _composite(visit, "cover", None)


MADE = Source(name="continue_clip_id", origin="made", instead=" Use the task type for uploaded clips.")
UPLOADED = Source(name="continue_clip_id", origin="uploaded", instead=" Only uploaded clips are taken here.")
ANY = Source(name="continue_clip_id")
EXTENDED = Source(name="continue_clip_id", origin="extended")
