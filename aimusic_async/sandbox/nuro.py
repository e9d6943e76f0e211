"""Nuro: songs and background music, one a request; its rules, and its flat tasks."""

from collections.abc import Mapping
from typing import Any

from attrs import evolve

from aimusic_async.sandbox import texts, words
from aimusic_async.sandbox.desk import Operation, Platform, Visit, World, refuse_if_timed_out
from aimusic_async.sandbox.making import draft, songs_task
from aimusic_async.sandbox.nuro_fields import (
    BGM_V1,
    BGM_V2,
    GENDERS,
    GENRES,
    MOODS,
    TIMBRES,
    VOCAL,
    duration_is_the_sum,
    in_a_known_language,
    long_enough,
)
from aimusic_async.sandbox.options import Options
from aimusic_async.sandbox.rules import Body
from aimusic_async.sandbox.tasks import Task
from aimusic_async.sandbox.texts import Answer

CREATE = "/nuro/create"
MODEL = "nuro"
_PREDICTED: Mapping[str, tuple[str, ...]] = {"genre": GENRES, "mood": MOODS, "gender": GENDERS, "timbre": TIMBRES}


def _submit(visit: Visit, tags: str, lyrics: str, seconds: float, fields: Mapping[str, Any]) -> Answer:
    """The task of one song, whose clip bears the task's id, because answers show no other."""
    title = words.title_of(lyrics if lyrics != words.INSTRUMENTAL else tags)
    made = draft(visit, title=title, tags=tags, lyrics=lyrics, seconds=seconds, mv=MODEL, fields=fields)
    task = songs_task(visit, "nuro", [made])
    return visit.submitted(evolve(task, clips=(evolve(task.clips[0], id=task.id),)))


def vocal(visit: Visit) -> Answer:
    """A song; what is not said about the singer is made up."""
    body = visit.body
    lyrics = str(body["lyrics"])
    if not in_a_known_language(lyrics):
        raise texts.Refusal(400, "bad_request", texts.LANGUAGE)
    fields = {name: body.get(name) or visit.chance.choice(values) for name, values in _PREDICTED.items()}
    tags = ", ".join(str(value) for value in fields.values())
    return _submit(visit, tags, lyrics, visit.song_seconds(), fields)


def instrumental(visit: Visit) -> Answer:
    """Background music."""
    body = visit.body
    segments = body.get("segments") if body.get("version") == "v2.0" else None
    asked = sum(segment["duration"] for segment in segments) if segments else body.get("duration", 60)
    fields = {name: body.get(name, "") for name in ("genre", "mood")}
    fields |= {"gender": "", "timbre": ""}
    styles = [str(value) for name in ("genre", "mood", "instrument") for value in body.get(name, ())]
    tags = ", ".join([*styles, str(body["description"])])
    return _submit(visit, tags, words.INSTRUMENTAL, float(asked), fields)


_VOCAL = Operation(
    name="nuro.create_vocal",
    path=CREATE,
    fields=VOCAL,
    rules=(long_enough,),
    moderated=lambda body: ((body["lyrics"],), ()),
    handler=vocal,
)
_BGM_V1 = Operation(
    name="nuro.create_instrumental",
    path=CREATE,
    fields=BGM_V1,
    moderated=lambda body: ((), (body["description"],)),
    handler=instrumental,
)
_BGM_V2 = evolve(_BGM_V1, fields=BGM_V2, rules=(duration_is_the_sum,))


def _by_type(body: Body, _options: Options) -> Operation:
    match body.get("type"):
        case "vocal":
            return _VOCAL
        case "bgm":
            return _BGM_V2 if body.get("version") == "v2.0" else _BGM_V1
        case _:
            raise texts.invalid("The 'type' field is invalid. It should be 'vocal' or 'bgm'.")


def view(world: World, task: Task, now: float) -> Answer:
    """What a Nuro task shows at a time: one flat object, empty until the song is there."""
    refuse_if_timed_out(task, now)
    clip = task.clips[0]
    empty = {"audio_url": "", "lyrics": "", "duration": 0, "genre": "", "mood": "", "gender": "", "timbre": ""}
    if not task.ended(now):
        share = (now - task.accepted_at) / (task.ends_at - task.accepted_at)
        status = "running" if task.ready(now) else "pending"
        return Answer(body={"task_id": task.id, "status": status, "progress": min(int(share * 100), 99), **empty})
    if task.failed:
        failed = {"task_id": task.id, "status": "failed", "progress": 100, **empty}
        return Answer(body={**failed, "message": texts.GENERATION_FAILED, "refund_processed": True})
    body = {
        "task_id": task.id,
        "status": "succeeded",
        "progress": 100,
        "audio_url": world.file(f"{clip.id}.wav"),
        "lyrics": "" if clip.lyrics == words.INSTRUMENTAL else clip.lyrics,
        "duration": clip.seconds,
        **clip.fields,
    }
    return Answer(body=body)


PLATFORM = Platform(
    family="nuro",
    operations=(_VOCAL, _BGM_V1, _BGM_V2),
    choosers={CREATE: _by_type},
    view=view,
    switch=lambda options: texts.retired() if options.nuro_gone else None,
    task_missing=lambda _options: texts.not_found(texts.TASK_NOT_FOUND),
)
