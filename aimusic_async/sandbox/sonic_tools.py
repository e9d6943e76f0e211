"""What becomes of a Sonic request that analyses a clip, converts it, takes it apart, or brings a recording."""

from collections.abc import Callable, Mapping
from typing import Any

from aimusic_async.sandbox import texts, words
from aimusic_async.sandbox.desk import Handler, Visit
from aimusic_async.sandbox.making import Draft, songs_task, task_of, uploaded_clip
from aimusic_async.sandbox.options import Options
from aimusic_async.sandbox.rules import Body, Field, always
from aimusic_async.sandbox.tasks import Clip
from aimusic_async.sandbox.texts import Answer
from aimusic_async.sandbox.timing import task_seconds
from aimusic_async.sandbox.tunes import Tracks, basic_tracks, full_tracks, instruments, tempo, timeline

NOT_READY = {"type": "not_ready", "error": texts.NOT_READY}


def _data(visit: Visit, data: Mapping[str, Any]) -> Answer:
    body = {"code": 200, "message": "success", "data": data}
    return Answer(body=body, after=visit.answer_seconds())


def bpm(visit: Visit) -> Answer:
    """The tempo that the tune was made with."""
    average, least, most = tempo(visit.world.tunes.of(visit.clip("clip_id")))
    answer = _data(visit, {"avg_bpm": average, "max_bpm": most, "min_bpm": least})
    visit.take()
    return answer


def vox(visit: Visit) -> Answer:
    """The voice of at most 30 seconds of a clip."""
    clip = visit.clip("clip_id")
    start = visit.body.get("vocal_start_s", max(visit.body.get("vocal_end_s", 0.0) - 30.0, 0.0))
    end = visit.body.get("vocal_end_s", min(start + 30.0, clip.seconds or start + 30.0))
    vox_id = visit.new_id()
    data = {
        "vox_audio_id": vox_id,
        "status": "complete",
        "source_clip_id": clip.id,
        "vocal_start_s": start,
        "vocal_end_s": end,
        "wave_response": {},
    }
    answer = _data(visit, data)
    visit.take()
    visit.world.shelf.voxes[vox_id] = visit.key
    return answer


def _prepared(kind: str, ready: Callable[[Visit, Clip], Answer], not_ready: Callable[[Visit], Answer]) -> Handler:
    """Something that the first asking pays and sets going, and later askings get once it is ready."""

    def handle(visit: Visit) -> Answer:
        clip, shelf = visit.clip("clip_id"), visit.world.shelf
        if (clip.id, kind) not in shelf.prepared:
            seconds = task_seconds(visit.options, visit.operation.name, visit.ordinal)
            visit.take()
            shelf.prepared[clip.id, kind] = visit.at + seconds / visit.options.speed
        return ready(visit, clip) if visit.at >= shelf.prepared[clip.id, kind] else not_ready(visit)

    return handle


def _wait(visit: Visit) -> Answer:
    return Answer(status=visit.options.not_ready_status, body=NOT_READY)


def _wav_ready(visit: Visit, clip: Clip) -> Answer:
    return Answer(body={"message": "success", "data": {"wav_url": visit.world.file(f"{clip.id}.wav")}})


def _midi_ready(visit: Visit, clip: Clip) -> Answer:
    data = {
        "midi_url": visit.world.file(f"{clip.id}.mid"),
        "instruments": instruments(visit.world.tunes.of(clip), clip.parts),
    }
    return Answer(body={"code": 200, "message": "success", "data": data})


def _midi_wait(_visit: Visit) -> Answer:
    return Answer(body={"code": 200, "message": "success", "data": {"midi_url": None, "instruments": []}})


def _timeline_ready(visit: Visit, clip: Clip) -> Answer:
    data = {"alignment": timeline(visit.world.tunes.of(clip))}
    return Answer(body={"code": 200, "message": "success", "data": data})


wav: Handler = _prepared("wav", _wav_ready, _wait)
midi: Handler = _prepared("mid", _midi_ready, _midi_wait)
_timeline = _prepared("timeline", _timeline_ready, _wait)


def _formats(value: Any, _body: Body, _options: Options) -> str | None:
    known = ("mp3", "m4a", "wav")
    if isinstance(value, list) and value and all(one in known for one in value):
        return None
    return f"The 'formats' field should be a list of {texts.alternatives(known)}."


FORMATS = Field("formats", _formats, always)


def download(visit: Visit) -> Answer:
    """A clip's files in some formats: the first asking pays for all of them and sets them going."""
    clip, shelf, options = visit.clip("clip_id"), visit.world.shelf, visit.options
    age = (visit.at - clip.settles_at) * options.speed
    if options.download_within is not None and age > options.download_within:
        raise texts.not_found(f"clip '{clip.id}' is not available any more.")
    formats = list(dict.fromkeys(visit.body["formats"]))
    kind = "+".join(sorted(formats))
    if (clip.id, kind) not in shelf.called:
        seconds = task_seconds(options, visit.operation.name, visit.ordinal)
        visit.take()
        shelf.called[clip.id, kind] = ready_at = visit.at + seconds / options.speed
        for one in formats:
            shelf.downloaded.setdefault((clip.id, one), ready_at)
    if visit.at < shelf.called[clip.id, kind]:
        return Answer(status=202, body=NOT_READY)
    files = [{"format": one, "url": visit.world.file(f"{clip.id}.{one}")} for one in formats]
    if options.download_form == "wav_url" and "wav" in formats:
        return Answer(body={"code": 200, "message": "success", "data": {"wav_url": visit.world.file(f"{clip.id}.wav")}})
    return Answer(body={"code": 200, "message": "success", "data": {"files": files}})


def lyrics_timeline(visit: Visit) -> Answer:
    """When each word is sung; a clip without words has no timeline."""
    clip = visit.clip("clip_id")
    if not clip.lyrics or clip.lyrics == words.INSTRUMENTAL:
        raise texts.not_found(f"lyrics of clip '{clip.id}' not found.")
    return _timeline(visit)


def upsample_tags(visit: Visit) -> Answer:
    """More tags of the kind."""
    answer = _data(visit, {"upsampled_tags": words.richer(str(visit.body["tags"]), visit.chance)})
    visit.take()
    return answer


def persona(visit: Visit) -> Answer:
    """A singer made from a clip."""
    if "vox_audio_id" in visit.body and visit.world.shelf.voxes.get(visit.body["vox_audio_id"]) != visit.key:
        raise texts.not_found(f"vox '{visit.body['vox_audio_id']}' not found.")
    persona_id = visit.new_id()
    body = {"code": 200, "message": "success", "persona_id": persona_id}
    answer = Answer(body=body, after=visit.answer_seconds())
    visit.take()
    visit.world.shelf.personas[persona_id] = visit.key
    return answer


def _stems(tracks: Callable[[Visit], Tracks]) -> Handler:
    def handle(visit: Visit) -> Answer:
        clip = visit.clip("clip_id")
        drafts = [
            Draft(
                score=clip.score,
                title=f"{clip.title} - {name}",
                tags=clip.tags,
                lyrics=clip.lyrics,
                mv=clip.mv,
                parts=parts,
                stem_type=name,
            )
            for name, parts in tracks(visit)
        ]
        return visit.submitted(songs_task(visit, "sonic", drafts))

    return handle


stems_basic: Handler = _stems(lambda _visit: basic_tracks())
stems_full: Handler = _stems(lambda visit: full_tracks(visit.options.stems_full_count))


def upload(visit: Visit) -> Answer:
    """A recording becomes a clip: at the end of a slow answer, or as a task when there is a `callback_url`."""
    if visit.audio is None:
        raise texts.invalid(texts.AUDIO_UNREACHABLE)
    if "callback_url" not in visit.body:
        wait = visit.answer_seconds()
        clip = uploaded_clip(visit, "sonic", visit.audio, ready_at=visit.at + wait)
        visit.take(clips=[clip])
        return Answer(body={"code": 200, "clip_id": clip.id, "message": "success"}, after=wait)
    times = visit.timetable(1)
    clip = uploaded_clip(visit, "sonic", visit.audio, times=times)
    visit.take(task_of(visit, "sonic", times, clips=(clip,)))
    return Answer(body={"code": 200, "message": "success", "task_id": visit.task_id})


def create_voice(visit: Visit) -> Answer:
    """A singer made from a recording of one voice."""
    seconds = visit.audio.seconds if visit.audio else None
    if visit.audio and visit.audio.content_type == "audio/webm" and not visit.options.webm_voices:
        raise texts.invalid(texts.AUDIO_INVALID)
    if seconds is not None and seconds <= 10:
        raise texts.invalid("The audio should be longer than 10 seconds.")
    times = visit.timetable(1)
    task_id, persona_id = visit.new_id(), visit.new_id()
    name = str(visit.body.get("name") or f"voice-{persona_id[:8]}")
    task = task_of(visit, "sonic", times, task_id, result={"persona_id": persona_id, "name": name})
    answer = visit.submitted(task)
    if not task.failed:
        visit.world.shelf.personas[persona_id] = visit.key
    return answer
