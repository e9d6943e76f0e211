"""Sonic: its operations with their rules, and what its tasks show."""

from collections.abc import Mapping
from typing import Any

from attrs import evolve

from aimusic_async.sandbox import sonic_songs as songs
from aimusic_async.sandbox import sonic_tools as tools
from aimusic_async.sandbox import texts
from aimusic_async.sandbox.desk import Handler, Operation, Platform, World, refuse_if_timed_out
from aimusic_async.sandbox.formats import song_suffix
from aimusic_async.sandbox.models import spelled
from aimusic_async.sandbox.options import Options
from aimusic_async.sandbox.rules import WEBHOOK, Body, always, choice, flag, number, one_of, rising, text, webhook
from aimusic_async.sandbox.shelf import Source
from aimusic_async.sandbox.sonic_fields import (
    AUDIO_WEIGHT,
    CDN,
    CONTINUE_AT,
    CONTINUE_AT_PERHAPS,
    CONTINUE_CLIP,
    COVERED,
    LYRICS_PROMPT,
    MV,
    OVERPAINTING,
    PERSONA_REQUIRED,
    SAMPLED,
    SHARED,
    SHARED_RULES,
    SOURCED_RULES,
    STYLE,
    TAGS,
    TITLE,
    at_most_30_seconds,
    cdn_is_said,
    gender_is_new,
    mode_or_style,
    no_duration,
    point_is_said,
    two_clips,
    variation_is_new,
    weight_has_a_source,
)
from aimusic_async.sandbox.tasks import Clip, Task
from aimusic_async.sandbox.texts import Answer

CREATE = "/sonic/create"


def _create(task_type: str, handler: Handler, **more: Any) -> Operation:
    """A task type of the one address that makes songs; by default it takes what all of them take."""
    filled = {"fields": SHARED, "rules": SOURCED_RULES, "moderated": moderated, **more}
    filled["rules"] = (cdn_is_said, *filled["rules"])
    return Operation(name=f"sonic.{task_type}", path=CREATE, handler=handler, **filled)


def _tool(name: str, path: str, handler: Handler, *fields: Any, **more: Any) -> Operation:
    """An operation on one clip."""
    return Operation(
        name=f"sonic.{name}",
        path=f"/sonic/{path}",
        fields=(text("clip_id", required=always), *fields),
        sources=(Source(name="clip_id"),),
        handler=handler,
        **more,
    )


def moderated(body: Body) -> tuple[list[str], list[str]]:
    """The lyrics and the descriptions in a request for songs; a field that does not count is not read."""
    described = body.get("custom_mode") is False
    prompt = [] if described else [body["prompt"]] if "prompt" in body else []
    description = [body["gpt_description_prompt"]] if described else []
    return ([], prompt) if body.get("auto_lyrics") is True else (prompt, description)


def _persona_switch(options: Options) -> texts.Refusal | None:
    return None if options.personas_available else texts.unavailable()


_EXTEND: Mapping[str, Any] = {
    "fields": (CONTINUE_CLIP, CONTINUE_AT_PERHAPS, *SHARED),
    "rules": (point_is_said, *SOURCED_RULES),
}
_COVER: Mapping[str, Any] = {"fields": (CONTINUE_CLIP, *COVERED), "rules": (mode_or_style, *SOURCED_RULES)}


def _download_switch(options: Options) -> texts.Refusal | None:
    return None if options.sonic_download else texts.no_address("POST", options.unknown_addresses)


_VOCAL_RANGE = (number("vocal_start_s", 0), number("vocal_end_s", 0))
_IN_RANGE = (rising("vocal_start_s", "vocal_end_s"), at_most_30_seconds)
_SAMPLED_RULES = (weight_has_a_source, no_duration, *SHARED_RULES)
_OVERPAINTED = (gender_is_new, no_duration, rising("overpainting_start_s", "overpainting_end_s"))

_CREATE = (
    _create("create_music", songs.create, rules=(weight_has_a_source, *SHARED_RULES)),
    _create("extend_music", songs.extend, **_EXTEND, sources=(songs.MADE,)),
    _create("cover_music", songs.again, **_COVER, sources=(songs.MADE,)),
    _create(
        "concat_music",
        songs.concat,
        fields=(CONTINUE_CLIP, CDN, *WEBHOOK),
        rules=(no_duration,),
        sources=(songs.EXTENDED,),
    ),
    _create(
        "persona_music",
        songs.persona,
        fields=(PERSONA_REQUIRED, *SHARED),
        rules=(weight_has_a_source, *SOURCED_RULES),
    ),
    _create("extend_upload_music", songs.extend, **_EXTEND, sources=(songs.UPLOADED,)),
    _create("cover_upload_music", songs.again, **_COVER, sources=(songs.UPLOADED,)),
    _create(
        "remaster",
        songs.remaster,
        fields=(CONTINUE_CLIP, MV, choice("variation_category", ("subtle", "normal", "high")), CDN, *WEBHOOK),
        rules=(variation_is_new, no_duration),
        sources=(songs.ANY,),
    ),
    _create(
        "add_vocals",
        songs.add_part,
        fields=(CONTINUE_CLIP, *OVERPAINTING, LYRICS_PROMPT),
        rules=_OVERPAINTED,
        sources=(songs.UPLOADED,),
    ),
    _create(
        "add_instrumental",
        songs.add_part,
        fields=(CONTINUE_CLIP, *OVERPAINTING, text("prompt", most=5000)),
        rules=_OVERPAINTED,
        sources=(songs.UPLOADED,),
    ),
)
_TASK_TYPES = {operation.name.partition(".")[2]: operation for operation in _CREATE}
_FOR_UPLOADS = ("extend_upload_music", "cover_upload_music")
_PLAIN = {name: evolve(_TASK_TYPES[name], sources=(songs.ANY,)) for name in ("extend_music", "cover_music")}
"""The task types that may take uploaded clips, too."""

_OTHERS = (
    Operation(
        name="sonic.upload_extend",
        path="/sonic/upload-extend",
        fields=(text("url", required=always), CONTINUE_AT, flag("auto_concat"), *SHARED),
        rules=SOURCED_RULES,
        audio="url",
        steps=True,
        handler=songs.upload_extend,
        moderated=moderated,
    ),
    Operation(
        name="sonic.upload_cover",
        path="/sonic/upload-cover",
        fields=(text("url", required=always), *SHARED),
        rules=SOURCED_RULES,
        audio="url",
        steps=True,
        handler=songs.upload_cover,
        moderated=moderated,
    ),
    Operation(
        name="sonic.sample",
        path="/sonic/sample",
        fields=(
            text("url"),
            text("sample_clip_id"),
            number("chop_sample_start_s", 0, required=always),
            number("chop_sample_end_s", 0, required=always),
            *SAMPLED,
        ),
        rules=(one_of("url", "sample_clip_id"), rising("chop_sample_start_s", "chop_sample_end_s"), *_SAMPLED_RULES),
        sources=(Source(name="sample_clip_id"),),
        audio="url",
        handler=songs.sample,
        moderated=moderated,
    ),
    Operation(
        name="sonic.mashup",
        path="/sonic/mashup",
        fields=SAMPLED,
        rules=(two_clips, *_SAMPLED_RULES),
        sources=(Source(name="mashup_clip_ids", several=True),),
        handler=songs.create,
        moderated=moderated,
    ),
    _tool(
        "replace_section",
        "replace-section",
        songs.replace_section,
        MV,
        number("infill_start_s", 0, required=always),
        number("infill_end_s", 0, required=always),
        text("infill_lyrics", required=always),
        LYRICS_PROMPT,
        TITLE,
        TAGS,
        *STYLE,
        AUDIO_WEIGHT,
        flag("auto_concat"),
        *WEBHOOK,
        rules=(rising("infill_start_s", "infill_end_s"), gender_is_new, no_duration),
        moderated=lambda body: ((body["infill_lyrics"], body["prompt"]), ()),
    ),
    _tool("get_bpm", "bpm", tools.bpm),
    _tool("get_vox", "vox", tools.vox, *_VOCAL_RANGE, rules=_IN_RANGE),
    _tool("get_wav", "wav", tools.wav),
    _tool("get_midi", "midi", tools.midi),
    _tool("download", "download", tools.download, tools.FORMATS, switch=_download_switch),
    _tool("get_lyrics_timeline", "aligned-lyrics", tools.lyrics_timeline),
    _tool("stems_basic", "stems/basic", tools.stems_basic, *WEBHOOK),
    _tool("stems_full", "stems/full", tools.stems_full, *WEBHOOK),
    Operation(
        name="sonic.upsample_tags",
        path="/sonic/upsample-tags",
        fields=(text("tags", required=always),),
        handler=tools.upsample_tags,
    ),
    Operation(
        name="sonic.upload_music",
        path="/sonic/upload",
        fields=(text("url", required=always), webhook("callback_url")),
        audio="url",
        handler=tools.upload,
    ),
    Operation(
        name="sonic.create_voice",
        path="/sonic/create-voice",
        fields=(text("audio_url", required=always), text("name", most=80), *WEBHOOK),
        audio="audio_url",
        handler=tools.create_voice,
    ),
)

_PERSONA = Operation(
    name="sonic.create_persona",
    path="/sonic/persona",
    fields=(
        text("name", most=79, stated=80, required=always, missing=texts.NEW_PERSONA_REQUIRED),
        text("clip_id", required=always, missing=texts.NEW_PERSONA_REQUIRED),
        text("describe"),
        text("styles"),
        text("vox_audio_id"),
        *_VOCAL_RANGE,
    ),
    rules=_IN_RANGE,
    sources=(Source(name="clip_id"),),
    switch=_persona_switch,
    handler=tools.persona,
)
_OLD_PERSONA = evolve(
    _PERSONA,
    fields=(
        text("name", most=79, stated=80, required=always, missing=texts.OLD_PERSONA_REQUIRED),
        text("continue_clip_id", required=always, missing=texts.OLD_PERSONA_REQUIRED),
        text("description", required=always, missing=texts.DESCRIPTION_REQUIRED),
    ),
    rules=(),
    sources=(songs.ANY,),
)


def _by_task_type(body: Body, options: Options) -> Operation:
    wanted = body.get("task_type", "create_music")
    uploads = options.upload_task_types
    known = [name for name in _TASK_TYPES if uploads != "gone" or name not in _FOR_UPLOADS]
    if not isinstance(wanted, str) or wanted not in known:
        raise texts.invalid(f"The 'task_type' field is invalid. It should be {texts.alternatives(known)}.")
    return _PLAIN[wanted] if uploads != "only" and wanted in _PLAIN else _TASK_TYPES[wanted]


def _clip_body(world: World, clip: Clip, now: float) -> dict[str, Any]:
    state = clip.state(now)
    done = state == "succeeded"
    streaming = world.file(f"streaming/{clip.id}.{song_suffix()}") if state == "running" else ""
    body: dict[str, Any] = {
        "clip_id": clip.id,
        "state": state,
        "title": clip.title,
        "tags": clip.tags,
        "lyrics": clip.lyrics,
        "image_url": world.file(f"image_{clip.id}.jpeg") if done else "",
        "audio_url": world.file(f"{clip.id}.{song_suffix()}") if done else streaming,
        "video_url": None,
        "created_at": world.calendar_at(clip.accepted_at).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        "mv": spelled(clip.mv, world.options.mv_spelling),
        "gpt_description_prompt": clip.fields.get("gpt_description_prompt"),
        "duration": f"{clip.seconds:.2f}" if done and clip.seconds is not None else None,
        "negative_tags": clip.fields.get("negative_tags"),
        "style_weight": clip.fields.get("style_weight"),
        "weirdness_constraint": clip.fields.get("weirdness_constraint"),
    }
    if state == "failed":
        body[world.options.failed_clip_field] = texts.GENERATION_FAILED
    if clip.stem_type is not None:
        body["stem_type"] = clip.stem_type
    return body


def view(world: World, task: Task, now: float) -> Answer:
    """What a Sonic task shows at a time: clips, pairs, an uploaded clip or a voice."""
    refuse_if_timed_out(task, now)
    not_ready = Answer(status=world.options.not_ready_status, body=tools.NOT_READY)
    if not task.ready(now) or (task.result is not None and not task.ended(now)):
        return not_ready
    if task.failed and task.ended(now) and (task.result is not None or world.options.failed_form == "body"):
        return Answer(body=texts.failed_body())
    if task.result is not None:
        data: Any = task.result
    elif task.pairs:
        data = [
            {
                task.part_name: _clip_body(world, pair.part, now),
                "full": _clip_body(world, pair.full, now) if pair.full.state(now) == "succeeded" else None,
            }
            for pair in task.pairs
        ]
    elif any(clip.uploaded for clip in task.clips):
        data = [{"clip_id": clip.id, "state": clip.state(now)} for clip in task.clips]
    else:
        data = [_clip_body(world, clip, now) for clip in task.clips]
    return Answer(body={"code": 200, "message": "success", "data": data})


PLATFORM = Platform(
    family="sonic",
    operations=(*_CREATE, *_OTHERS, _PERSONA),
    choosers={
        CREATE: _by_task_type,
        _PERSONA.path: lambda _body, options: _OLD_PERSONA if options.old_persona_form else _PERSONA,
    },
    view=view,
)
