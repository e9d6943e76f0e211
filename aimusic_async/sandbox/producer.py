"""Producer: one song a request, uploads and downloads; its rules, and what its tasks show."""

from random import Random
from typing import Any

from aimusic_async.sandbox import texts, words
from aimusic_async.sandbox.desk import Operation, Platform, Visit, World, refuse_if_timed_out
from aimusic_async.sandbox.formats import song_suffix
from aimusic_async.sandbox.making import Draft, songs_task, task_of, uploaded_clip
from aimusic_async.sandbox.options import Options
from aimusic_async.sandbox.rules import (
    WEBHOOK,
    Body,
    always,
    choice,
    digits,
    flag,
    model,
    number,
    rising,
    some_of,
    text,
)
from aimusic_async.sandbox.shelf import Source
from aimusic_async.sandbox.tasks import Clip, Score, Task
from aimusic_async.sandbox.texts import Answer

CREATE = "/producer/create"
EDITS = ("extend_music", "cover_music", "replace_music", "swap_music_vocals", "swap_music_sound", "music_variation")
DEFAULT_MODEL = "FUZZ-2.0"
_CLIP = Source(name="clip_id", family="producer")

_FIELDS = (
    model(lambda options: options.producer_models),
    text("sound"),
    text("lyrics"),
    text("title", most=80),
    flag("make_instrumental"),
    digits("seed"),
    text("cover_url"),
    number("lyrics_strength", 0, 1),
    number("sound_strength", 0.2, 1),
    number("weirdness", 0, 1),
    *WEBHOOK,
)


def create(visit: Visit) -> Answer:
    """One song. The same `seed`, words, style and model give the same song again."""
    body = visit.body
    source = visit.clip("clip_id") if "clip_id" in visit.clips else None
    sound = str(body.get("sound", source.tags if source else ""))
    seed = str(body.get("seed") or visit.chance.randrange(10**9, 10**10))
    mv = str(body.get("mv", DEFAULT_MODEL))
    chance = Random("/".join((seed, mv, sound, str(body.get("lyrics", "")))))
    if body.get("make_instrumental") is True:
        lyrics = words.INSTRUMENTAL
    else:
        lyrics = str(body.get("lyrics") or (source.lyrics if source else "") or words.lyrics_about(sound, chance))
    title = str(body.get("title") or (source.title if source else "") or words.title_of(sound or lyrics))
    score = Score(
        seed=chance.getrandbits(32),
        tags=sound,
        lyrics=lyrics,
        seconds=round(chance.uniform(*visit.options.song_seconds), 2),
        instrumental=lyrics == words.INSTRUMENTAL,
    )
    made = Draft(score=score, title=title, tags=sound, lyrics=lyrics, mv=mv, fields={"sound": sound, "seed": seed})
    return visit.submitted(songs_task(visit, "producer", [made]))


def upload(visit: Visit) -> Answer:
    """A recording becomes a clip."""
    if visit.audio is None:
        raise texts.invalid(texts.AUDIO_UNREACHABLE)
    times = visit.timetable(1)
    clip = uploaded_clip(visit, "producer", visit.audio, times=times)
    return visit.submitted(task_of(visit, "producer", times, clips=(clip,)))


def download(visit: Visit) -> Answer:
    """A clip's file in a format that it does not have yet."""
    clip, suffix = visit.clip("clip_id"), str(visit.body["format"])
    times = visit.timetable(1)
    wanted_wav = suffix == "wav"
    suffix = suffix if wanted_wav else song_suffix()
    url = visit.world.file(f"{clip.id}.{suffix}")
    result = {
        "clip_id": clip.id,
        "title": clip.title,
        "audio_url": None if wanted_wav else url,
        "wav_url": url if wanted_wav else None,
        "state": "succeeded",
    }
    task = task_of(visit, "producer", times, result=result)
    answer = visit.submitted(task)
    if not task.failed:
        visit.world.shelf.prepared[clip.id, suffix] = task.ends_at
    return answer


def _files_switch(options: Options) -> texts.Refusal | None:
    return None if options.producer_files_available else texts.unavailable()


def _edits_switch(options: Options) -> texts.Refusal | None:
    return None if options.producer_edits else texts.retired()


def _moderated(body: Body) -> tuple[list[str], list[str]]:
    lyrics = [] if body.get("make_instrumental") is True else [str(body.get("lyrics", ""))]
    return lyrics, [str(body.get("sound", ""))]


_CREATE = Operation(
    name="producer.create_music",
    path=CREATE,
    fields=_FIELDS,
    rules=(some_of("sound", "lyrics"),),
    moderated=_moderated,
    handler=create,
)
_TASK_TYPES = {
    "create_music": _CREATE,
    **{
        task_type: Operation(
            name=f"producer.{task_type}",
            path=CREATE,
            fields=(
                text("clip_id", required=always),
                number("starts_at", 0),
                number("ends_at", 0),
                number("cover_strength", 0.2, 1),
                *_FIELDS,
            ),
            rules=(rising("starts_at", "ends_at"),),
            sources=(_CLIP,),
            moderated=_moderated,
            switch=_edits_switch,
            handler=create,
        )
        for task_type in EDITS
    },
}


def _by_task_type(body: Body, _options: Options) -> Operation:
    wanted = body.get("task_type")
    if not isinstance(wanted, str) or wanted not in _TASK_TYPES:
        raise texts.invalid(f"The 'task_type' field is invalid. It should be {texts.alternatives(list(_TASK_TYPES))}.")
    return _TASK_TYPES[wanted]


def _clip_body(world: World, clip: Clip, now: float) -> dict[str, Any]:
    state = clip.state(now)
    done = state == "succeeded"
    body: dict[str, Any] = {
        "clip_id": clip.id,
        "title": clip.title,
        "sound": clip.fields.get("sound"),
        "lyrics": clip.lyrics,
        "image_url": world.file(f"image_{clip.id}.jpeg") if done else "",
        "audio_url": world.file(f"{clip.id}.{clip.files[0]}") if done else "",
        "video_url": None,
        "created_at": world.calendar_at(clip.accepted_at).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "mv": clip.mv,
        "seed": clip.fields.get("seed"),
        "duration": clip.seconds if done else None,
        "state": state,
    }
    if state == "failed":
        body[world.options.failed_clip_field] = texts.GENERATION_FAILED
    return body


def _items(world: World, task: Task, now: float) -> list[dict[str, Any]]:
    if task.result is not None:
        return [dict(task.result)]
    return [_clip_body(world, clip, now) for clip in task.clips]


def _failed(task: Task) -> dict[str, Any]:
    """A failed task in the newer form."""
    if task.timed_out:
        return {"status": "FAILED", "type": "timeout", "message": texts.TASK_TIMED_OUT, "data": []}
    return {"status": "FAILED", "message": texts.GENERATION_FAILED, "data": []}


def view(world: World, task: Task, now: float) -> Answer:
    """What a Producer task shows at a time, in the older or the newer form."""
    newer = world.options.producer_form == "status"
    if not newer:
        refuse_if_timed_out(task, now)
    ended = task.ended(now)
    if ended and task.failed and not task.timed_out and world.options.producer_failure_status == 500:
        return Answer(status=500, body=texts.failed_body())
    if not task.ready(now) or (task.result is not None and not ended and not newer):
        status = {"status": "PENDING"} if newer else {}
        return Answer(status=202, body={"code": 202, **status, "type": "not_ready", "error": texts.NOT_READY})
    if not newer:
        if ended and task.failed and task.result is not None:
            return Answer(body=texts.failed_body())
        return Answer(body={"code": 200, "message": "success", "data": _items(world, task, now)})
    if not ended:
        return Answer(body={"code": 200, "message": "success", "status": "RUNNING", "data": []})
    if task.failed:
        return Answer(body=_failed(task))
    items = [
        {"wav_url": _wav_url(world, item), **{name: value for name, value in item.items() if name != "state"}}
        for item in _items(world, task, now)
    ]
    return Answer(body={"code": 200, "message": "success", "status": "SUCCESS", "data": items})


def _wav_url(world: World, item: dict[str, Any]) -> str | None:
    """Where the newer form has a clip's WAV, once it was downloaded."""
    clip_id = str(item["clip_id"])
    ready_at = world.shelf.prepared.get((clip_id, "wav"))
    return world.file(f"{clip_id}.wav") if ready_at is not None and ready_at <= world.now() else None


PLATFORM = Platform(
    family="producer",
    operations=(
        *_TASK_TYPES.values(),
        Operation(
            name="producer.upload",
            path="/producer/upload",
            fields=(text("audio_url", required=always), *WEBHOOK),
            audio="audio_url",
            switch=_files_switch,
            handler=upload,
        ),
        Operation(
            name="producer.download",
            path="/producer/download",
            fields=(
                text("clip_id", required=always),
                choice("format", ("mp3", "wav"), required=always),
                *WEBHOOK,
            ),
            sources=(_CLIP,),
            switch=_files_switch,
            handler=download,
        ),
    ),
    choosers={CREATE: _by_task_type},
    view=view,
)
