"""What changed at the service since its first pages: each switch, turned on and off; and the eras that turn many."""

import asyncio
import io

import pytest
from mutagen.mp4 import MP4

pytestmark = pytest.mark.looptime

CREATE = "/sonic/create"
GOOD = {"custom_mode": True, "mv": "sonic-v5", "prompt": "la la"}
TOLD = {"custom_mode": False, "mv": "sonic-v5", "gpt_description_prompt": "about rain"}
SOURCED = ("extend_music", "cover_music", "remaster", "add_vocals", "extend_upload_music", "cover_upload_music")


async def uploaded(caller, at, name="20.wav"):
    return (await caller.done("/sonic/upload", {"url": at(name)}))["clip_id"]


async def status_of(caller, path, body):
    return (await caller.post(path, body))[0]


# --- use_suno_cdn ----------------------------------------------------------------------------------------------------


async def test_use_suno_cdn_may_be_required_of_every_task_type_and_of_no_other_address(opened, recordings):
    async with opened(use_suno_cdn_required=True) as caller, recordings() as at:
        song = (await caller.made(CREATE, {**GOOD, "use_suno_cdn": True}))[0]["clip_id"]
        recording = await uploaded(caller, at)
        bodies = [{"task_type": "concat_music", "continue_clip_id": song}, {"task_type": "persona_music", **GOOD}, GOOD]
        for task_type in SOURCED:
            clip = recording if "upload" in task_type or "add" in task_type else song
            bodies.append({**GOOD, "task_type": task_type, "continue_clip_id": clip})
        for body in bodies:
            refused = await caller.refused(CREATE, {**body, "persona_id": "p"})
            assert refused == (400, "validation_error", "The 'use_suno_cdn' field should be boolean."), body
        for body in bodies[3:]:
            await caller.done(CREATE, {**body, "use_suno_cdn": False})
        section = {"infill_start_s": 1, "infill_end_s": 9, "infill_lyrics": "x"}
        await caller.done("/sonic/replace-section", {**GOOD, **section, "clip_id": song})
        await caller.done("/sonic/mashup", {**GOOD, "mashup_clip_ids": [song, song]})


@pytest.mark.parametrize("task_type", ["concat_music", "remaster", "add_vocals"])
async def test_use_suno_cdn_is_a_boolean_wherever_it_is_said(opened, task_type):
    async with opened() as caller:
        body = {**GOOD, "task_type": task_type, "continue_clip_id": "c", "use_suno_cdn": "false"}
        assert (await caller.refused(CREATE, body))[2] == "The 'use_suno_cdn' field should be boolean."


# --- duration, weights, words ----------------------------------------------------------------------------------------


async def test_a_wished_length_is_kept_where_one_is_taken(opened, recordings):
    async with opened() as caller, recordings() as at:
        song, recording = (await caller.song())["clip_id"], await uploaded(caller, at)
        wish = {**GOOD, "duration": 77}
        for path, body in (
            (CREATE, wish),
            (CREATE, {**wish, "task_type": "extend_music", "continue_clip_id": song, "continue_at": 9}),
            (CREATE, {**wish, "task_type": "cover_music", "continue_clip_id": song}),
            (CREATE, {**wish, "task_type": "extend_upload_music", "continue_clip_id": recording, "continue_at": 9}),
            (CREATE, {**wish, "task_type": "cover_upload_music", "continue_clip_id": recording}),
            ("/sonic/upload-extend", {**wish, "url": at("20.wav"), "continue_at": 9}),
            ("/sonic/upload-cover", {**wish, "url": at("20.wav")}),
        ):
            assert {clip["duration"] for clip in await caller.made(path, body)} == {"77.00"}, body


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/sonic/sample", {"sample_clip_id": "c", "chop_sample_start_s": 0, "chop_sample_end_s": 9}),
        ("/sonic/mashup", {"mashup_clip_ids": ["c", "d"]}),
        ("/sonic/replace-section", {"clip_id": "c", "infill_start_s": 1, "infill_end_s": 2, "infill_lyrics": "x"}),
        (CREATE, {"task_type": "remaster", "continue_clip_id": "c"}),
        (CREATE, {"task_type": "add_vocals", "continue_clip_id": "c"}),
        (CREATE, {"task_type": "add_instrumental", "continue_clip_id": "c"}),
        (CREATE, {"task_type": "concat_music", "continue_clip_id": "c"}),
    ],
)
async def test_a_length_is_refused_everywhere_else(opened, path, more):
    async with opened() as caller:
        refused = await caller.refused(path, {**GOOD, **more, "duration": 60})
        assert refused == (400, "validation_error", "The 'duration' field is not allowed here.")


async def test_only_new_songs_may_take_a_length(opened):
    async with opened(duration_beyond_create=False) as caller:
        cover = {**GOOD, "task_type": "cover_music", "continue_clip_id": "c", "duration": 60}
        assert "task_type = create_music" in (await caller.refused(CREATE, cover))[2]
        await caller.done(CREATE, {**GOOD, "duration": 60})


async def test_a_weight_of_the_source_may_need_a_source(opened):
    weighed = {**GOOD, "audio_weight": 0.5}
    async with opened() as caller:
        song = (await caller.made(CREATE, weighed))[0]["clip_id"]
        await caller.done("/sonic/mashup", {**weighed, "mashup_clip_ids": [song, song]})
    async with opened(audio_weight_anywhere=False) as caller:
        assert "'audio_weight'" in (await caller.refused(CREATE, weighed))[2]
        song = (await caller.song())["clip_id"]
        await caller.done(CREATE, {**weighed, "task_type": "cover_music", "continue_clip_id": song})


async def test_lyrics_and_a_description_may_exclude_each_other(opened):
    both = {**GOOD, "gpt_description_prompt": "a reggae song"}
    async with opened() as caller:
        assert (await caller.made(CREATE, both))[0]["lyrics"] == "la la"
    async with opened(lyrics_with_description=False) as caller:
        assert "cannot be used together" in (await caller.refused(CREATE, both))[2]


async def test_a_description_may_have_its_title_rewritten(opened):
    named = {**TOLD, "title": "Mine"}
    async with opened(rewritten_titles=1) as caller:
        assert (await caller.made(CREATE, named))[0]["title"] != "Mine"
        assert (await caller.made(CREATE, {**GOOD, "title": "Mine"}))[0]["title"] == "Mine"
    async with opened(rewritten_titles=0) as caller:
        assert (await caller.made(CREATE, named))[0]["title"] == "Mine"


async def test_by_default_some_titles_are_rewritten_and_most_are_not(opened):
    async with opened(speed=60) as caller:
        titles = [(await caller.made(CREATE, {**TOLD, "title": "Mine"}))[0]["title"] for _ in range(12)]
        assert 1 <= sum(title != "Mine" for title in titles) <= 6


# --- extending and covering ------------------------------------------------------------------------------------------


async def test_an_extension_without_a_point_goes_on_from_the_end(opened):
    async with opened() as caller:
        song = await caller.song(duration=60)
        part = (await caller.made(CREATE, {**GOOD, "task_type": "extend_music", "continue_clip_id": song["clip_id"]}))[
            0
        ]
        whole = await caller.made(CREATE, {"task_type": "concat_music", "continue_clip_id": part["clip_id"]})
        assert float(whole[0]["duration"]) == pytest.approx(60 + float(part["duration"]), abs=0.02)
    async with opened(continue_at_optional=False) as caller:
        body = {**GOOD, "task_type": "extend_music", "continue_clip_id": "c"}
        assert (await caller.refused(CREATE, body))[2] == "The 'continue_at' field is required."


async def test_a_cover_may_come_with_its_style_alone(opened):
    style = {"task_type": "cover_music", "mv": "sonic-v5", "tags": "bossa nova"}
    async with opened() as caller:
        song = await caller.song()
        clip = (await caller.made(CREATE, {**style, "continue_clip_id": song["clip_id"]}))[0]
        assert (clip["tags"], clip["lyrics"], clip["title"]) == ("bossa nova", song["lyrics"], song["title"])
        for body in ({**style, "tags": ""}, {**style, "prompt": "la"}):
            refused = await caller.refused(CREATE, {**body, "continue_clip_id": song["clip_id"]})
            assert refused[2] == "The 'custom_mode' field should be boolean."
    async with opened(cover_by_style=False) as caller:
        refused = await caller.refused(CREATE, {**style, "continue_clip_id": "c"})
        assert refused[2] == "The 'custom_mode' field should be boolean."


@pytest.mark.parametrize(("way", "plain", "own"), [("only", 400, 200), ("also", 200, 200), ("gone", 200, 400)])
async def test_uploaded_clips_are_covered_and_extended_by_these_task_types(opened, recordings, way, plain, own):
    async with opened(upload_task_types=way) as caller, recordings() as at:
        clip = {**GOOD, "continue_clip_id": await uploaded(caller, at), "continue_at": 0.1}
        for verb in ("cover", "extend"):
            assert await status_of(caller, CREATE, {**clip, "task_type": f"{verb}_music"}) == plain
            status, answer = await caller.post(CREATE, {**clip, "task_type": f"{verb}_upload_music"})
            assert status == own
            assert status == 200 or "'task_type' field is invalid" in answer["error"]


# --- models ----------------------------------------------------------------------------------------------------------


async def test_models_of_today_are_known_each_where_it_belongs(opened, recordings):
    async with opened() as caller, recordings() as at:
        song = (await caller.song())["clip_id"]
        recording = await uploaded(caller, at)
        for mv in ("sonic-v5-5", "sonic-v6", "sonic-v6-wild", "chirp-v6-mini"):
            await caller.done(CREATE, {**GOOD, "mv": mv, "vocal_gender": "f", "prompt": "x" * 5000})
            await caller.done(CREATE, {**GOOD, "mv": mv, "task_type": "add_vocals", "continue_clip_id": recording})
        sampling = {**GOOD, "mv": "sonic-v4-5-all"}
        piece = {"sample_clip_id": song, "chop_sample_start_s": 0, "chop_sample_end_s": 9}
        await caller.done("/sonic/sample", {**sampling, **piece})
        await caller.done("/sonic/mashup", {**sampling, "mashup_clip_ids": [song, song]})
        assert await status_of(caller, CREATE, sampling) == 400
        assert await status_of(caller, "/sonic/upload-cover", {**sampling, "url": at("20.wav")}) == 400
        for mv in ("FUZZ-2.0", "FUZZ-3-Demo", "Lyria 3 Pro"):
            await caller.done("/producer/create", {"task_type": "create_music", "sound": "rain", "mv": mv})


async def test_variations_may_be_for_v5_alone(opened):
    async with opened() as caller:
        song = (await caller.song())["clip_id"]
        body = {"task_type": "remaster", "continue_clip_id": song, "variation_category": "high"}
        await caller.done(CREATE, {**body, "mv": "sonic-v6"})
    async with opened(variations_for_v5_only=True) as caller:
        song = (await caller.song())["clip_id"]
        assert "'sonic-v5'" in (await caller.refused(CREATE, {**body, "mv": "sonic-v6"}))[2]
        await caller.done(CREATE, {**body, "mv": "chirp-v5", "continue_clip_id": song})


async def test_a_gender_may_be_for_the_other_spelling_alone(opened):
    async with opened(gender_for_chirp_only=True) as caller:
        assert "'chirp-'" in (await caller.refused(CREATE, {**GOOD, "vocal_gender": "f"}))[2]
        await caller.done(CREATE, {**GOOD, "mv": "chirp-v5", "vocal_gender": "f"})


# --- download --------------------------------------------------------------------------------------------------------


async def test_a_download_is_paid_once_a_call_and_asked_for_again_for_nothing(opened):
    async with opened(durations={"sonic.download": 9}, song_seconds=(5, 6)) as caller:
        body = {"clip_id": (await caller.song())["clip_id"], "formats": ["wav", "mp3", "m4a"]}
        status, answer = await caller.post("/sonic/download", body)
        assert (status, answer["type"]) == (202, "not_ready")
        await asyncio.sleep(9)
        answer = await caller.done("/sonic/download", body)
        assert [file["format"] for file in answer["data"]["files"]] == ["wav", "mp3", "m4a"]
        for file in answer["data"]["files"]:
            async with caller.http.get(file["url"]) as got:
                data = await got.read()
                assert got.status == 200
            starts = {"wav": data[:4] == b"RIFF", "mp3": data[0] == 0xFF, "m4a": data[4:8] == b"ftyp"}
            assert starts[file["format"]]
        assert [one.credits for one in caller.box.books.taken("sonic.download")] == [2]
        assert (await caller.post("/sonic/download", {**body, "formats": ["wav"]}))[0] in (200, 202)
        assert len(caller.box.books.taken("sonic.download")) == 2


async def test_an_m4a_plays_as_long_as_the_song(opened):
    async with opened(durations={"sonic.download": 0}, song_seconds=(5, 6)) as caller:
        song = await caller.song()
        answer = await caller.done("/sonic/download", {"clip_id": song["clip_id"], "formats": ["m4a"]})
        async with caller.http.get(answer["data"]["files"][0]["url"]) as got:
            assert got.content_type == "audio/mp4"
            info = MP4(io.BytesIO(await got.read())).info
        assert info.length == pytest.approx(float(song["duration"]), abs=0.1)
        assert (info.sample_rate, info.channels) == (48_000, 2)


@pytest.mark.parametrize("formats", [[], ["ogg"], "wav", None, ["wav", 5]])
async def test_formats_that_nobody_makes_are_refused(opened, formats):
    async with opened() as caller:
        refused = await caller.refused("/sonic/download", {"clip_id": "c", "formats": formats})
        assert refused == (400, "validation_error", "The 'formats' field should be a list of 'mp3', 'm4a', or 'wav'.")


async def test_a_download_may_name_a_wav_alone(opened):
    async with opened(download_form="wav_url", durations={"sonic.download": 0}) as caller:
        clip_id = (await caller.song())["clip_id"]
        answer = await caller.done("/sonic/download", {"clip_id": clip_id, "formats": ["wav"]})
        assert answer["data"].keys() == {"wav_url"}


async def test_a_clip_may_be_too_old_to_be_downloaded_and_that_costs_nothing(opened):
    async with opened(download_within=3600) as caller:
        body = {"clip_id": (await caller.song())["clip_id"], "formats": ["wav"]}
        await asyncio.sleep(3600)
        assert (await caller.refused("/sonic/download", body))[:2] == (404, "not_found")
        assert caller.box.books.taken("sonic.download") == []


async def test_there_may_be_no_download(opened):
    async with (
        opened(sonic_download=False) as caller,
        caller.http.post(
            f"{caller.box.url}/api/v1/sonic/download",
            json={"clip_id": "c", "formats": ["wav"]},
            headers={"Authorization": f"Bearer {caller.box.key}"},
        ) as answer,
    ):
        assert (answer.status, answer.content_type) == (405, "text/html")


# --- money -----------------------------------------------------------------------------------------------------------


async def test_a_model_may_have_a_price_of_its_own(opened):
    prices = {"sonic.create_music": 14, "sonic.create_music sonic-v4": 3}
    async with opened(prices=prices) as caller:
        for mv in ("sonic-v5", "sonic-v4", "chirp-v4"):
            await caller.done(CREATE, {**GOOD, "mv": mv})
        assert [one.credits for one in caller.box.books.taken()] == [14, 3, 3]


# --- errors, files, the host -----------------------------------------------------------------------------------------


async def test_errors_that_may_pass_may_say_so(opened):
    for retriable in (True, False):
        async with opened(retriable=retriable) as caller:
            await caller.credits()
            status, answer = await caller.raw("GET", "/get-credits")
            assert (status, answer.get("retriable", False)) == (429, retriable)
            assert "retriable" not in (await caller.post(CREATE, {}))[1]


@pytest.mark.parametrize("form", ["state", "status"])
async def test_a_failed_producer_task_may_be_a_500(opened, form):
    options = {"task_failure_rate": 1, "durations": {"*": 9}, "producer_form": form}
    async with opened(producer_failure_status=500, **options) as caller:
        task = (await caller.done("/producer/create", {"task_type": "create_music", "sound": "rain"}))["task_id"]
        await asyncio.sleep(9)
        status, answer = await caller.get(f"/producer/task/{task}")
        assert (status, answer["type"]) == (500, "failed")


async def test_a_fresh_file_may_be_refused_for_some_seconds(opened):
    async with opened(fresh_file_seconds=30, durations={"*": 9}, song_seconds=(2, 3)) as caller:
        song = await caller.song()
        async with caller.http.get(song["audio_url"]) as early:
            assert early.status == 403
        await asyncio.sleep(30)
        async with caller.http.get(song["audio_url"]) as later:
            assert later.status == 200


async def test_a_slow_request_may_be_broken_off_by_the_host_although_it_was_carried_out(opened, recordings):
    async with (
        opened(function_seconds=25, answer_times={"sonic.upload_cover": 42}) as caller,
        recordings() as at,
        caller.http.post(
            f"{caller.box.url}/api/v1/sonic/upload-cover",
            json={**GOOD, "url": at("20.wav")},
            headers={"Authorization": f"Bearer {caller.box.key}"},
        ) as answer,
    ):
        assert (answer.status, answer.content_type) == (504, "text/plain")
        assert "FUNCTION_INVOCATION_TIMEOUT" in await answer.text()
        assert len(caller.box.books.taken("sonic.upload_cover")) == 1


async def test_a_voice_may_not_be_learned_from_webm(opened):
    from aiohttp import web
    from aiohttp.test_utils import TestServer

    async def serve(_request):
        return web.Response(body=b"\x1aE\xdf\xa3....", content_type="audio/webm")

    app = web.Application()
    app.router.add_get("/voice.webm", serve)
    async with TestServer(app) as host:
        body = {"audio_url": str(host.make_url("/voice.webm"))}
        async with opened() as caller:
            await caller.done("/sonic/create-voice", body)
        async with opened(webm_voices=False) as caller:
            assert (await caller.refused("/sonic/create-voice", body))[2] == "Invalid audio file"


# --- where the reference draws lines ---------------------------------------------------------------------------------


async def test_limits_lie_where_the_reference_has_them(opened):
    async with opened() as caller:
        clip_id = (await caller.song(duration=60))["clip_id"]
        bgm = {"type": "bgm", "description": "x" * 300}
        for path, body, status in (
            ("/sonic/persona", {"name": "x" * 79, "clip_id": clip_id}, 200),
            ("/sonic/persona", {"name": "x" * 80, "clip_id": clip_id}, 400),
            ("/sonic/vox", {"clip_id": clip_id, "vocal_end_s": 35}, 200),
            ("/sonic/vox", {"clip_id": clip_id, "vocal_start_s": 5, "vocal_end_s": 35}, 200),
            ("/sonic/vox", {"clip_id": clip_id, "vocal_start_s": 4.9, "vocal_end_s": 35}, 400),
            ("/sonic/vox", {"clip_id": clip_id, "vocal_start_s": 10.2, "vocal_end_s": 40.2}, 200),
            ("/nuro/create", bgm, 200),
            ("/nuro/create", {**bgm, "version": "v1.0"}, 200),
            ("/nuro/create", {**bgm, "version": "v2.0", "duration": 60}, 400),
            ("/nuro/create", {**bgm, "version": "v2.0", "duration": 60, "description": "x" * 199}, 200),
        ):
            assert await status_of(caller, path, body) == status, body


async def test_a_range_of_a_voice_that_has_an_end_alone_lasts_thirty_seconds(opened):
    async with opened() as caller:
        clip_id = (await caller.song(duration=60))["clip_id"]
        data = (await caller.done("/sonic/vox", {"clip_id": clip_id, "vocal_end_s": 35}))["data"]
        assert (data["vocal_start_s"], data["vocal_end_s"]) == (5.0, 35)


async def test_the_documented_examples_fit_into_a_new_song(opened):
    async with opened() as caller:
        song = (await caller.song())["clip_id"]
        for at in (60, 62.5, 120):
            body = {**GOOD, "task_type": "extend_music", "continue_clip_id": song, "continue_at": at}
            await caller.done(CREATE, body)


# --- eras ------------------------------------------------------------------------------------------------------------


async def test_today_s_service_requires_and_charges_what_was_read_last(opened):
    async with opened(era="today") as caller:
        assert (await caller.refused(CREATE, GOOD))[2] == "The 'use_suno_cdn' field should be boolean."
        await caller.done(CREATE, {**GOOD, "mv": "sonic-v6", "use_suno_cdn": False})
        assert caller.box.books.charged == 14
        assert await status_of(caller, "/nuro/create", {"type": "bgm", "description": "x"}) == 410


async def test_the_seed_s_service_knows_nothing_of_what_came_later(opened):
    async with opened(era="seed") as caller:
        assert await status_of(caller, CREATE, {**GOOD, "mv": "sonic-v6"}) == 400
        assert (await caller.post("/sonic/download", {"clip_id": "c", "formats": ["wav"]}))[1]["type"] == "not_found"
        await caller.done(CREATE, GOOD)
        assert caller.box.books.charged == 10
