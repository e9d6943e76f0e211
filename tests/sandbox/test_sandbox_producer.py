"""Producer: one song a task, uploads, downloads, in the older and the newer form of its tasks."""

import re

import pytest

pytestmark = pytest.mark.looptime

CREATE = "/producer/create"
SONG = {"task_type": "create_music", "sound": "slow cinematic strings", "lyrics": "[Verse]\nSnow on the wire"}
MODELS = (
    "'FUZZ-2.0 Pro', 'FUZZ-2.0', 'FUZZ-2.0 Raw', 'FUZZ-1.1 Pro', 'FUZZ-1.1', 'FUZZ-1.0 Pro', 'FUZZ-1.0', or 'FUZZ-0.8'"
)


async def test_a_task_makes_one_song_with_a_number_for_length_and_microseconds(opened):
    async with opened() as caller:
        answer = await caller.done(CREATE, {**SONG, "title": "Wire", "seed": "3966900172", "sound_strength": 0.2})
        assert answer.keys() == {"message", "task_id"}
        assert await caller.get(f"/producer/task/{answer['task_id']}") == (
            202,
            {
                "code": 202,
                "type": "not_ready",
                "error": "Task is still processing. Please wait a few seconds and try again.",
            },
        )
        done = await caller.ended(answer["task_id"], "producer")
        assert done.keys() == {"code", "message", "data"}
        [clip] = done["data"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", clip["created_at"])
        assert isinstance(clip["duration"], float)
        assert (clip["title"], clip["sound"], clip["lyrics"]) == ("Wire", SONG["sound"], SONG["lyrics"])
        assert (clip["mv"], clip["seed"], clip["state"]) == ("FUZZ-2.0", "3966900172", "succeeded")
        assert caller.box.books.taken("producer.create_music")[0].credits == 10


async def test_the_newer_form_has_one_status_word_and_no_state(opened):
    async with opened(producer_form="status", durations={"producer": 30}, not_ready_share=(0.3, 0.3)) as caller:
        task_id = (await caller.done(CREATE, SONG))["task_id"]
        words = []
        for _ in range(12):
            status, answer = await caller.get(f"/producer/task/{task_id}")
            words.append((status, answer["status"]))
        assert list(dict.fromkeys(words)) == [(202, "PENDING"), (200, "RUNNING"), (200, "SUCCESS")]
        [clip] = answer["data"]
        assert "state" not in clip
        assert "wav_url" in clip


@pytest.mark.parametrize(("option", "kind"), [("task_failure_rate", None), ("timeout_rate", "timeout")])
async def test_a_failed_task_of_the_newer_form_says_so_and_is_refunded(opened, option, kind):
    async with opened(producer_form="status", **{option: 1.0}) as caller:
        task_id = (await caller.done(CREATE, SONG))["task_id"]
        answer = await caller.ended(task_id, "producer")
        assert (answer["status"], answer.get("type"), answer["data"]) == ("FAILED", kind, [])
        assert answer["message"]
        assert caller.box.books.refunded == 10


async def test_a_failed_task_of_the_older_form_has_a_failed_clip(opened):
    async with opened(task_failure_rate=1.0) as caller:
        [clip] = await caller.made(CREATE, SONG, "producer")
        assert (clip["state"], clip["audio_url"]) == ("failed", "")


async def test_the_same_digits_make_the_same_song(opened):
    async with opened() as caller:
        lengths = [(await caller.made(CREATE, {**SONG, "seed": seed}, "producer"))[0]["duration"] for seed in "112"]
        assert lengths[0] == lengths[1] != lengths[2]


async def test_instrumental_wins_over_lyrics(opened):
    async with opened() as caller:
        [clip] = await caller.made(CREATE, {**SONG, "make_instrumental": True}, "producer")
        assert clip["lyrics"] == "[Instrumental]"


REFUSED = [
    ({"task_type": "create_music"}, "One of 'sound' or 'lyrics' is required."),
    ({**SONG, "mv": "fuzz-2.0"}, f"The 'mv' field is invalid. The model should be {MODELS}."),
    ({**SONG, "title": "x" * 81}, "The title character length should be less than 80."),
    ({**SONG, "seed": 5}, "The 'seed' field should be a string of digits."),
    ({**SONG, "seed": "5a"}, "The 'seed' field should be a string of digits."),
    ({**SONG, "sound_strength": 0.1}, "The 'sound_strength' field should be a number between 0.2 and 1."),
    ({**SONG, "lyrics_strength": 1.5}, "The 'lyrics_strength' field should be a number between 0 and 1."),
    ({**SONG, "weirdness": "0.5"}, "The 'weirdness' field should be a number between 0 and 1."),
    ({**SONG, "make_instrumental": 0}, "The 'make_instrumental' field should be boolean."),
]


async def test_every_wrong_body_is_refused_with_its_own_words(opened):
    async with opened(era="seed") as caller:
        for body, text in REFUSED:
            assert await caller.refused(CREATE, body) == (400, "validation_error", text)
        for body in ({"sound": "x"}, {**SONG, "task_type": "sing"}):
            assert "'task_type'" in (await caller.refused(CREATE, body))[2]
        assert caller.box.books.charged == 0


async def test_edits_are_retired_unless_an_option_brings_them_back(opened):
    async with opened() as caller:
        assert (await caller.refused(CREATE, {"task_type": "extend_music"}))[:2] == (410, "endpoint_retired")
    async with opened(producer_edits=True) as caller:
        [clip] = await caller.made(CREATE, SONG, "producer")
        body = {"task_type": "cover_music", "clip_id": clip["clip_id"], "sound": "jazz", "cover_strength": 0.2}
        [cover] = await caller.made(CREATE, body, "producer")
        assert (cover["lyrics"], cover["sound"]) == (clip["lyrics"], "jazz")
        bad = {**body, "starts_at": 5, "ends_at": 4}
        assert (await caller.refused(CREATE, bad))[0] == 400


async def test_an_uploaded_recording_becomes_a_clip(opened, recordings):
    async with opened() as caller, recordings() as at:
        [clip] = await caller.made("/producer/upload", {"audio_url": at("20.wav")}, "producer")
        assert clip["duration"] == 20
        async with caller.http.get(clip["audio_url"]) as answer:
            assert (answer.status, answer.content_type) == (200, "audio/wav")
        assert caller.box.books.charged == 2


@pytest.mark.parametrize(
    ("suffix", "field", "other"), [("mp3", "audio_url", "wav_url"), ("wav", "wav_url", "audio_url")]
)
async def test_a_download_gives_the_address_of_the_file(opened, suffix, field, other):
    async with opened() as caller:
        [clip] = await caller.made(CREATE, SONG, "producer")
        body = {"clip_id": clip["clip_id"], "format": suffix}
        [item] = await caller.made("/producer/download", body, "producer")
        assert item["clip_id"] == clip["clip_id"]
        assert item[field] == f"{caller.box.url}/files/{clip['clip_id']}.{suffix}"
        assert item[other] is None
        assert caller.box.books.charged == 12


async def test_a_download_wants_a_clip_of_producer_and_a_known_format(opened):
    async with opened() as caller:
        song = await caller.song()
        body = {"clip_id": song["clip_id"], "format": "mp3"}
        assert (await caller.refused("/producer/download", body))[:2] == (404, "not_found")
        text = "The 'format' field is invalid. It should be 'mp3' or 'wav'."
        assert (await caller.refused("/producer/download", {**body, "format": "ogg"}))[2] == text


async def test_a_task_that_times_out_answers_504_and_is_refunded(opened):
    async with opened(timeout_rate=0.5, seed=3) as caller:
        outcomes = []
        for _ in range(6):
            task_id = (await caller.done(CREATE, SONG))["task_id"]
            for _ in range(40):
                status, answer = await caller.get(f"/producer/task/{task_id}")
            outcomes.append((status, answer.get("type"), caller.box.books.taken()[-1].refunded))
        assert set(outcomes) == {(504, "timeout", 10), (200, None, 0)}


async def test_upload_and_download_can_be_switched_off(opened):
    async with opened(producer_files_available=False) as caller:
        for path in ("/producer/upload", "/producer/download"):
            assert (await caller.refused(path, {}))[:2] == (403, "forbidden")
        await caller.done(CREATE, SONG)
