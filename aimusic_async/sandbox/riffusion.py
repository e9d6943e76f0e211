"""Riffusion (deprecated): its operations with their rules, and its tasks, whose list grows while they run."""

from collections.abc import Sequence
from typing import Any

from attrs import evolve

from aimusic_async.sandbox import texts, words
from aimusic_async.sandbox.desk import Operation, Platform, Visit, World, refuse_if_timed_out
from aimusic_async.sandbox.formats import song_suffix
from aimusic_async.sandbox.making import draft, songs_task, uploaded_clip
from aimusic_async.sandbox.options import Options
from aimusic_async.sandbox.rules import (
    Body,
    Field,
    Rule,
    always,
    flag,
    model,
    number,
    only_with,
    rising,
    text,
)
from aimusic_async.sandbox.shelf import Source
from aimusic_async.sandbox.tasks import Clip, Task
from aimusic_async.sandbox.texts import Answer

CREATE = "/riffusion/create"
_COMMON = (
    model(lambda options: options.riffusion_models, required=always),
    flag("custom_mode", required=always),
    text("title", most=80),
)
_EDIT = (
    *_COMMON,
    text("lyrics", required=always),
    text("sound", required=always),
    text("continue_clip_id", required=always),
    flag("make_instrumental"),
)
_MODES: tuple[Rule, ...] = (
    only_with("lyrics", "custom_mode", value=True),
    only_with("prompt", "custom_mode", value=False),
)


def create(visit: Visit) -> Answer:
    """New songs, whatever they start from; the next one shows only after the one before has settled."""
    body = visit.body
    source = visit.clip("continue_clip_id") if "continue_clip_id" in visit.clips else None
    at = body.get("continue_at")
    if at is not None and source is not None and source.seconds is not None and at > source.seconds:
        raise texts.invalid(
            f"The 'continue_at' field should be inside the source, which lasts {source.seconds:.2f} seconds."
        )
    brief = str(body.get("prompt") or body.get("sound") or "")
    if body.get("make_instrumental") is True:
        lyrics = words.INSTRUMENTAL
    else:
        lyrics = str(body.get("lyrics") or words.lyrics_about(brief, visit.chance))
    drafts = [
        draft(
            visit,
            title=str(body.get("title") or (source.title if source else "") or words.title_of(brief or lyrics)),
            tags=str(body.get("sound") or brief),
            lyrics=lyrics,
            seconds=visit.song_seconds(),
            mv=str(body["mv"]),
        )
        for _ in range(visit.options.clips_per_task)
    ]
    task = songs_task(visit, "riffusion", drafts)
    grown: list[Clip] = []
    for clip in task.clips:
        before = grown[-1].settles_at if grown else None
        shown = clip.shown_at if before is None else before + (clip.settles_at - before) / 2
        grown.append(evolve(clip, shown_at=shown))
    return visit.submitted(evolve(task, clips=tuple(grown)))


def upload(visit: Visit) -> Answer:
    """A recording becomes a clip, at the end of the answer."""
    if visit.audio is None:
        raise texts.invalid(texts.AUDIO_UNREACHABLE)
    wait = visit.answer_seconds()
    clip = uploaded_clip(visit, "riffusion", visit.audio, ready_at=visit.at + wait)
    visit.take(clips=[clip])
    return Answer(body={"code": 200, "clip_id": clip.id, "message": "success"}, after=wait)


def _moderated(body: Body) -> tuple[list[str], list[str]]:
    return [str(body.get("lyrics", ""))], [str(body.get("prompt", "")), str(body.get("sound", ""))]


def _operation(name: str, fields: Sequence[Field], rules: Sequence[Rule] = ()) -> Operation:
    return Operation(
        name=f"riffusion.{name}",
        path=CREATE,
        fields=fields,
        rules=(*_MODES, *rules),
        moderated=_moderated,
        handler=create,
    )


_WITH_LYRICS = _operation(
    "create_with_lyrics", (*_COMMON, flag("make_instrumental", required=always), text("lyrics"), text("sound"))
)
_WITH_DESCRIPTION = _operation(
    "create_with_description", (*_COMMON, flag("make_instrumental"), text("prompt", required=always), text("sound"))
)
_BOUNDS = (number("starts", 0, required=always), number("ends", 0, required=always))
_EDITS = {
    "extend_music": _operation("extend", (*_EDIT, number("continue_at", 0, above=True, whole=True, required=always))),
    "cover_music": _operation("cover", _EDIT),
    "replace_music": _operation("replace_section", (*_EDIT, *_BOUNDS), (rising("starts", "ends"),)),
    "swap_music_sound": _operation("swap_sound", _EDIT),
    "swap_music_vocals": _operation("swap_vocals", _EDIT),
}
_MADE = Source(name="continue_clip_id", family="riffusion", origin="made", instead=" Use the task type for uploads.")
_UPLOADED = evolve(_MADE, origin="uploaded", instead=" Use the task type without upload.")
_TASK_TYPES = {
    **{name: evolve(operation, sources=(_MADE,)) for name, operation in _EDITS.items()},
    **{
        name.replace("_music", "_upload_music"): evolve(operation, sources=(_UPLOADED,))
        for name, operation in _EDITS.items()
    },
}


def _by_task_type(body: Body, _options: Options) -> Operation:
    wanted = body.get("task_type", "create_music")
    if wanted == "create_music":
        return _WITH_DESCRIPTION if body.get("custom_mode") is False else _WITH_LYRICS
    if not isinstance(wanted, str) or wanted not in _TASK_TYPES:
        names = ["create_music", *_TASK_TYPES]
        raise texts.invalid(f"The 'task_type' field is invalid. It should be {texts.alternatives(names)}.")
    return _TASK_TYPES[wanted]


def _clip_body(world: World, clip: Clip, now: float) -> dict[str, Any]:
    state = clip.state(now)
    done = state == "succeeded"
    body: dict[str, Any] = {
        "clip_id": clip.id,
        "title": clip.title,
        "lyrics": clip.lyrics,
        "image_url": world.file(f"image_{clip.id}.jpeg") if done else "",
        "audio_url": world.file(f"{clip.id}.{song_suffix()}") if done else "",
        "video_url": None,
        "created_at": world.calendar_at(clip.accepted_at).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "mv": clip.mv,
        "duration": clip.seconds if done else None,
        "timestamp": {},
        "state": state,
    }
    if state == "failed":
        body["error_message"] = texts.GENERATION_FAILED
    return body


def view(world: World, task: Task, now: float) -> Answer:
    """What a Riffusion task shows at a time: none of its songs, then some, then all."""
    refuse_if_timed_out(task, now)
    clips = [_clip_body(world, clip, now) for clip in task.clips if clip.state(now) != "pending"]
    return Answer(body={"code": 200, "message": "success", "data": clips})


PLATFORM = Platform(
    family="riffusion",
    operations=(
        _WITH_LYRICS,
        _WITH_DESCRIPTION,
        *_TASK_TYPES.values(),
        Operation(
            name="riffusion.upload",
            path="/riffusion/upload",
            fields=(text("url", required=always),),
            audio="url",
            handler=upload,
        ),
    ),
    choosers={CREATE: _by_task_type},
    view=view,
    switch=lambda options: texts.retired() if options.riffusion_gone else None,
)
