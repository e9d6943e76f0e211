"""Every Sonic operation that looks at a clip, converts it, takes it apart, or brings a recording or a voice."""

import asyncio

import pytest

from aimusic_async.sandbox.music import PARTS

pytestmark = pytest.mark.looptime


async def test_bpm_tells_the_tempo_of_the_tune(opened):
    async with opened() as caller:
        song = await caller.song(tags="slow, 80 bpm")
        answer = await caller.done("/sonic/bpm", {"clip_id": song["clip_id"]})
        assert answer.keys() == {"code", "message", "data"}
        tempo = answer["data"]
        assert tempo["avg_bpm"] == 80
        assert tempo["min_bpm"] <= tempo["avg_bpm"] <= tempo["max_bpm"]
        assert caller.box.books.taken("sonic.get_bpm")[0].credits == 1


async def test_vox_covers_at_most_30_seconds_and_can_be_used_for_a_persona(opened):
    async with opened() as caller:
        song = await caller.song()
        body = {"clip_id": song["clip_id"]}
        data = (await caller.done("/sonic/vox", {**body, "vocal_start_s": 3, "vocal_end_s": 13.5}))["data"]
        assert {**data, "vox_audio_id": ""} == {
            "vox_audio_id": "",
            "status": "complete",
            "source_clip_id": song["clip_id"],
            "vocal_start_s": 3,
            "vocal_end_s": 13.5,
            "wave_response": {},
        }
        assert (await caller.refused("/sonic/vox", {**body, "vocal_start_s": 3, "vocal_end_s": 33.1}))[0] == 400
        assert (await caller.refused("/sonic/vox", {**body, "vocal_start_s": 3, "vocal_end_s": 3}))[0] == 400
        persona = {"name": "n", **body, "vox_audio_id": data["vox_audio_id"]}
        await caller.done("/sonic/persona", persona)
        assert (await caller.refused("/sonic/persona", {**persona, "vox_audio_id": "v-1"}))[0] == 404


async def test_a_wav_is_prepared_first_and_paid_once(opened):
    async with opened(durations={"sonic.get_wav": 10}) as caller:
        song = await caller.song()
        body = {"clip_id": song["clip_id"]}
        for _ in range(3):
            status, answer = await caller.post("/sonic/wav", body)
            assert (status, answer["type"]) == (202, "not_ready")
        await asyncio.sleep(2)
        answer = await caller.done("/sonic/wav", body)
        assert answer == {"message": "success", "data": {"wav_url": f"{caller.box.url}/files/{song['clip_id']}.wav"}}
        await caller.done("/sonic/wav", body)
        assert len(caller.box.books.taken("sonic.get_wav")) == 1
        assert caller.box.books.charged == 11


async def test_notes_come_once_they_are_ready_and_are_paid_once(opened):
    async with opened(durations={"sonic.get_midi": 5}) as caller:
        song = await caller.song()
        body = {"clip_id": song["clip_id"]}
        empty = {"code": 200, "message": "success", "data": {"midi_url": None, "instruments": []}}
        assert await caller.done("/sonic/midi", body) == empty
        await asyncio.sleep(5)
        data = (await caller.done("/sonic/midi", body))["data"]
        assert data["midi_url"].endswith(f"/files/{song['clip_id']}.mid")
        assert {"Vocals", "Drums", "Bass"} <= {instrument["name"] for instrument in data["instruments"]}
        for instrument in data["instruments"]:
            for note in instrument["notes"]:
                assert note.keys() == {"pitch", "start", "end", "velocity"}
                assert 0 <= note["pitch"] <= 127
                assert 0 <= note["start"] < note["end"] <= float(song["duration"]) + 0.01
                assert 0 <= note["velocity"] <= 1
        assert caller.box.books.charged == 11


async def test_the_notes_of_a_stem_are_that_parts_notes(opened):
    async with opened(durations={"sonic.get_midi": 0}) as caller:
        song = await caller.song()
        stems = await caller.made("/sonic/stems/full", {"clip_id": song["clip_id"]})
        bass = next(stem for stem in stems if stem["stem_type"] == "Bass")
        data = (await caller.done("/sonic/midi", {"clip_id": bass["clip_id"]}))["data"]
        assert [instrument["name"] for instrument in data["instruments"]] == ["Bass"]
        whole = (await caller.done("/sonic/midi", {"clip_id": song["clip_id"]}))["data"]
        assert data["instruments"][0] in whole["instruments"]


async def test_the_lyrics_timeline_is_prepared_paid_once_and_holds_the_words_in_order(opened):
    async with opened(durations={"sonic.get_lyrics_timeline": 4}) as caller:
        song = await caller.song()
        body = {"clip_id": song["clip_id"]}
        assert (await caller.post("/sonic/aligned-lyrics", body))[0] == 202
        await asyncio.sleep(1)
        words = (await caller.done("/sonic/aligned-lyrics", body))["data"]["alignment"]
        assert "".join(word["word"] for word in words).strip() == song["lyrics"].strip()
        assert [word["start_s"] for word in words] == sorted(word["start_s"] for word in words)
        assert all(word["success"] is True and 0 <= word["p_align"] <= 1 for word in words)
        assert caller.box.books.charged == 11


async def test_a_clip_without_words_has_no_timeline(opened):
    async with opened() as caller:
        song = await caller.song(make_instrumental=True)
        body = {"clip_id": song["clip_id"]}
        assert (await caller.refused("/sonic/aligned-lyrics", body))[:2] == (404, "not_found")
        assert caller.box.books.charged == 10


async def test_upsampled_tags_begin_with_what_was_sent(opened):
    async with opened() as caller:
        tags = (await caller.done("/sonic/upsample-tags", {"tags": "pop"}))["data"]["upsampled_tags"]
        assert tags.startswith("pop, ")
        assert caller.box.books.charged == 1


@pytest.mark.parametrize(
    ("path", "names", "price"), [("basic", ["Vocals", "Instrumental"], 10), ("full", list(PARTS), 50)]
)
async def test_stems_are_clips_that_say_in_title_and_type_which_part_they_are(opened, path, names, price):
    async with opened() as caller:
        song = await caller.song()
        answer = await caller.done(f"/sonic/stems/{path}", {"clip_id": song["clip_id"]})
        stems = (await caller.ended(answer["task_id"]))["data"]
        assert [stem["stem_type"] for stem in stems] == names
        assert [stem["title"] for stem in stems] == [f"Lanterns - {name}" for name in names]
        assert {stem["duration"] for stem in stems} == {song["duration"]}
        assert caller.box.books.taken()[-1].credits == price


async def test_a_full_separation_can_have_24_tracks(opened):
    async with opened(stems_full_count=24) as caller:
        song = await caller.song()
        stems = await caller.made("/sonic/stems/full", {"clip_id": song["clip_id"]})
        assert len(stems) == len({stem["clip_id"] for stem in stems}) == 24


async def test_an_upload_takes_its_time_and_gives_a_clip(opened, recordings):
    async with opened() as caller, recordings() as at:
        clock = asyncio.get_running_loop().time
        start = clock()
        answer = await caller.done("/sonic/upload", {"url": at("20.wav")})
        assert 12 < clock() - start < 36
        assert answer.keys() == {"code", "clip_id", "message"}
        assert at.asked == [("HEAD", "20.wav"), ("GET", "20.wav")]
        await caller.done("/sonic/bpm", {"clip_id": answer["clip_id"]})
        assert caller.box.books.taken("sonic.upload_music")[0].credits == 2


async def test_answers_take_as_long_as_the_option_says(opened, recordings):
    async with opened(answer_times={"sonic.upload_music": 7}, speed=2) as caller, recordings() as at:
        clock = asyncio.get_running_loop().time
        start = clock()
        await caller.raw("POST", "/sonic/upload", {"url": at("20.wav")})
        assert clock() - start == pytest.approx(3.5, abs=0.1)


async def test_an_upload_with_a_callback_is_a_task(opened, recordings):
    async with opened() as caller, recordings() as at:
        body = {"url": at("20.wav"), "callback_url": "https://example.com/done"}
        answer = await caller.done("/sonic/upload", body)
        assert answer.keys() == {"code", "message", "task_id"}
        clips = (await caller.ended(answer["task_id"]))["data"]
        assert [clip.keys() for clip in clips] == [{"clip_id", "state"}]
        await caller.done("/sonic/bpm", {"clip_id": clips[0]["clip_id"]})


async def test_a_voice_is_a_task_that_ends_in_an_object_and_can_sing(opened, recordings):
    async with opened() as caller, recordings() as at:
        answer = await caller.done("/sonic/create-voice", {"audio_url": at("20.wav"), "name": "Alto"})
        assert (await caller.get(f"/sonic/task/{answer['task_id']}"))[0] == 202
        data = (await caller.ended(answer["task_id"]))["data"]
        assert data.keys() == {"persona_id", "name"}
        assert data["name"] == "Alto"
        body = {"task_type": "persona_music", "persona_id": data["persona_id"], "prompt": "la", "custom_mode": True}
        assert len(await caller.made("/sonic/create", {**body, "mv": "sonic-v5"})) == 2
        assert caller.box.books.taken("sonic.create_voice")[0].credits == 4


async def test_a_voice_without_a_name_gets_one(opened, recordings):
    async with opened() as caller, recordings() as at:
        answer = await caller.done("/sonic/create-voice", {"audio_url": at("20.wav")})
        assert (await caller.ended(answer["task_id"]))["data"]["name"].startswith("voice-")


async def test_a_voice_needs_more_than_ten_seconds(opened, recordings):
    async with opened() as caller, recordings() as at:
        assert (await caller.refused("/sonic/create-voice", {"audio_url": at("10.wav")}))[0] == 400
        assert caller.box.books.charged == 0


async def test_a_voice_that_fails_is_no_persona_and_is_refunded(opened, recordings):
    async with opened(task_failure_rate=1.0) as caller, recordings() as at:
        answer = await caller.done("/sonic/create-voice", {"audio_url": at("20.wav")})
        assert (await caller.ended(answer["task_id"]))["type"] == "failed"
        assert caller.box.books.refunded == 4


async def test_personas_can_be_switched_off(opened):
    async with opened(personas_available=False) as caller:
        assert (await caller.refused("/sonic/persona", {"name": "n", "clip_id": "c"}))[:2] == (403, "forbidden")


async def test_the_old_form_of_a_persona_is_an_option(opened):
    async with opened(old_persona_form=True) as caller:
        song = await caller.song()
        body = {"name": "n", "continue_clip_id": song["clip_id"], "description": "warm"}
        assert (await caller.done("/sonic/persona", body))["persona_id"]
        text = "name and continue_clip_id are required fields."
        assert (await caller.refused("/sonic/persona", {"name": "n"}))[2] == text
