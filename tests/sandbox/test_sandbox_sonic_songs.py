"""Every operation that makes Sonic songs, from the request to what its task shows in the end."""

import asyncio

import pytest

pytestmark = pytest.mark.looptime

WORDS = {"custom_mode": True, "mv": "sonic-v5", "prompt": "[Verse]\nLanterns on the water line", "title": "Lanterns"}
CREATE = "/sonic/create"


async def uploaded(caller, at, name="20.wav"):
    return (await caller.done("/sonic/upload", {"url": at(name)}))["clip_id"]


async def test_create_music_makes_two_songs_with_the_words_and_the_style_that_were_sent(opened):
    async with opened() as caller:
        body = {**WORDS, "tags": "folk, warm", "negative_tags": "metal", "style_weight": 0.7, "vocal_gender": "f"}
        answer = await caller.done(CREATE, body)
        assert set(answer) == {"message", "task_id"}
        clips = (await caller.ended(answer["task_id"]))["data"]
        assert [clip["state"] for clip in clips] == ["succeeded", "succeeded"]
        assert clips[0]["clip_id"] != clips[1]["clip_id"]
        for clip in clips:
            assert (clip["title"], clip["tags"], clip["lyrics"]) == ("Lanterns", "folk, warm", WORDS["prompt"])
            assert (clip["negative_tags"], clip["style_weight"]) == ("metal", 0.7)
            assert clip["weirdness_constraint"] is None
            assert "vocal_gender" not in clip
            assert clip["mv"] == "sonic-v5"
            assert clip["audio_url"] == f"{caller.box.url}/files/{clip['clip_id']}.mp3"
            assert clip["image_url"] == f"{caller.box.url}/files/image_{clip['clip_id']}.jpeg"
            assert clip["video_url"] is None
            assert isinstance(clip["duration"], str)
            assert 120 <= float(clip["duration"]) <= 240
        assert caller.box.books.charged == 10


async def test_task_type_may_be_left_out_or_say_create_music(opened):
    async with opened() as caller:
        await caller.done(CREATE, {**WORDS, "task_type": "create_music"})
        await caller.done(CREATE, WORDS)
        assert len(caller.box.books.taken("sonic.create_music")) == 2


async def test_a_description_becomes_a_song_with_words_title_and_tags(opened):
    async with opened() as caller:
        brief = "a song about a lighthouse keeper"
        clip = (await caller.made(CREATE, {"custom_mode": False, "mv": "sonic-v5", "gpt_description_prompt": brief}))[0]
        assert clip["gpt_description_prompt"] == brief
        assert "lighthouse keeper" in clip["lyrics"]
        assert clip["lyrics"].startswith("[Verse]")
        assert clip["title"] == "A Lighthouse Keeper"
        assert "lighthouse keeper" in clip["tags"]


async def test_auto_lyrics_keeps_title_and_tags_and_takes_the_prompt_for_a_brief(opened):
    async with opened() as caller:
        clip = await caller.song(auto_lyrics=True, prompt="trains at night", tags="blues")
        assert "trains at night" in clip["lyrics"]
        assert (clip["title"], clip["tags"]) == ("Lanterns", "blues")


@pytest.mark.parametrize(
    "mode",
    [
        {"custom_mode": True, "title": "Dawn"},
        {"custom_mode": False, "gpt_description_prompt": "a tune about dawn"},
    ],
)
async def test_an_instrumental_has_bracket_text_for_lyrics(opened, mode):
    async with opened() as caller:
        clips = await caller.made(CREATE, {**mode, "mv": "sonic-v5", "make_instrumental": True})
        assert [clip["lyrics"] for clip in clips] == ["[Instrumental]"] * 2


async def test_a_length_that_is_asked_for_is_kept(opened):
    async with opened() as caller:
        assert (await caller.song(duration=75))["duration"] == "75.00"


async def test_extend_holds_only_the_new_part_and_concat_joins_it_with_its_source(opened):
    async with opened() as caller:
        song = await caller.song()
        body = {**WORDS, "task_type": "extend_music", "continue_clip_id": song["clip_id"], "continue_at": 12.5}
        part = (await caller.made(CREATE, {**body, "prompt": "[Bridge]\nOne more mile"}))[1]
        assert part["lyrics"] == "[Bridge]\nOne more mile"
        whole = await caller.made(CREATE, {"task_type": "concat_music", "continue_clip_id": part["clip_id"]})
        assert len(whole) == 1
        assert float(whole[0]["duration"]) == pytest.approx(12.5 + float(part["duration"]))
        assert whole[0]["lyrics"] == f"{song['lyrics']}\n\n[Bridge]\nOne more mile"
        assert whole[0]["mv"] == "sonic-v5"
        assert [entry.credits for entry in caller.box.books.taken()] == [10, 10, 2]


async def test_a_song_that_extends_nothing_cannot_be_joined(opened):
    async with opened() as caller:
        song = await caller.song()
        body = {"task_type": "concat_music", "continue_clip_id": song["clip_id"]}
        assert (await caller.refused(CREATE, body))[:2] == (400, "validation_error")


@pytest.mark.parametrize(("at", "refused"), [(0, True), (-1, True), ("5", True), (True, True), (500, True), (5, False)])
async def test_continue_at_has_to_lie_inside_the_source(opened, at, refused):
    async with opened() as caller:
        song = await caller.song()
        body = {**WORDS, "task_type": "extend_music", "continue_clip_id": song["clip_id"], "continue_at": at}
        status, answer = await caller.post(CREATE, body)
        assert (status == 400) is refused
        if refused:
            assert "'continue_at'" in answer["error"]


async def test_a_cover_is_as_long_as_its_source(opened):
    async with opened() as caller:
        song = await caller.song()
        body = {**WORDS, "task_type": "cover_music", "continue_clip_id": song["clip_id"], "audio_weight": 0.6}
        covers = await caller.made(CREATE, body)
        assert [cover["duration"] for cover in covers] == [song["duration"]] * 2


async def test_a_persona_can_be_made_from_a_song_and_sing_another(opened):
    async with opened() as caller:
        song = await caller.song()
        answer = await caller.done("/sonic/persona", {"name": "Warm Alto", "clip_id": song["clip_id"]})
        assert set(answer) == {"code", "message", "persona_id"}
        body = {**WORDS, "task_type": "persona_music", "persona_id": answer["persona_id"]}
        assert len(await caller.made(CREATE, body)) == 2


async def test_an_unknown_persona_is_not_found(opened):
    async with opened() as caller:
        body = {**WORDS, "task_type": "persona_music", "persona_id": "p-1"}
        assert (await caller.refused(CREATE, body))[:2] == (404, "not_found")


async def test_uploaded_clips_may_have_task_types_of_their_own(opened, recordings):
    async with opened(upload_task_types="only") as caller, recordings() as at:
        song, clip_id = await caller.song(), await uploaded(caller, at)
        for verb in ("extend", "cover"):
            plain = {**WORDS, "task_type": f"{verb}_music", "continue_at": 0.1}
            theirs = {**plain, "task_type": f"{verb}_upload_music"}
            assert (await caller.refused(CREATE, {**plain, "continue_clip_id": clip_id}))[0] == 400
            assert (await caller.refused(CREATE, {**theirs, "continue_clip_id": song["clip_id"]}))[0] == 400
            assert len(await caller.made(CREATE, {**theirs, "continue_clip_id": clip_id})) == 2
        assert len(caller.box.books.taken("sonic.cover_upload_music")) == 1


async def test_a_remaster_is_the_same_song_by_another_model(opened):
    async with opened() as caller:
        song = await caller.song(mv="sonic-v4-5")
        body = {"task_type": "remaster", "continue_clip_id": song["clip_id"], "mv": "chirp-v5"}
        clips = await caller.made(CREATE, {**body, "variation_category": "subtle"})
        for clip in clips:
            assert clip["mv"] == "chirp-v5"
            assert clip["clip_id"] != song["clip_id"]
            for same in ("title", "lyrics", "duration", "tags"):
                assert clip[same] == song[same]


@pytest.mark.parametrize(("task_type", "words"), [("add_vocals", "[Verse]\nNew words"), ("add_instrumental", None)])
async def test_voice_and_backing_are_added_to_uploaded_clips_only(opened, recordings, task_type, words):
    async with opened() as caller, recordings() as at:
        song, clip_id = await caller.song(), await uploaded(caller, at)
        body = {"task_type": task_type, "mv": "sonic-v4-5-plus", "overpainting_start_s": 0, "overpainting_end_s": 9.5}
        if words:
            body["prompt"] = words
        assert (await caller.refused(CREATE, {**body, "continue_clip_id": song["clip_id"]}))[0] == 400
        clips = await caller.made(CREATE, {**body, "continue_clip_id": clip_id})
        assert [clip["duration"] for clip in clips] == ["20.00"] * 2
        if words:
            assert clips[0]["lyrics"] == words


@pytest.mark.parametrize("strict", [True, False])
async def test_a_clip_of_yesterday_gets_no_voice_when_the_rule_is_strict(opened, recordings, strict):
    async with opened(strict_24h=strict) as caller, recordings() as at:
        body = {"task_type": "add_vocals", "mv": "sonic-v5", "prompt": "la"}
        body["continue_clip_id"] = await uploaded(caller, at)
        await asyncio.sleep(24 * 3600 + 60)
        status, _ = await caller.post(CREATE, body)
        assert status == (400 if strict else 200)


async def test_upload_and_extend_is_slow_to_answer_and_tells_both_steps(opened, recordings):
    async with opened() as caller, recordings() as at:
        clock = asyncio.get_running_loop().time
        before = clock()
        answer = await caller.done("/sonic/upload-extend", {**WORDS, "url": at("20.wav"), "continue_at": 0.1})
        assert 30 <= clock() - before <= 65
        assert set(answer) == {"code", "message", "task_id", "steps"}
        assert answer["steps"]["extend"] == {"task_id": answer["task_id"], "message": "success"}
        assert answer["steps"]["upload"]["message"] == "success"
        status, _ = await caller.get(f"/sonic/task/{answer['task_id']}")
        assert status == 202
        assert len((await caller.ended(answer["task_id"]))["data"]) == 2
        assert caller.box.books.charged == 10
        body = {**WORDS, "task_type": "cover_upload_music", "continue_clip_id": answer["steps"]["upload"]["clip_id"]}
        await caller.done(CREATE, body)


async def test_upload_and_extend_with_auto_concat_gives_pairs_whose_whole_comes_last(opened, recordings):
    async with opened() as caller, recordings() as at:
        body = {**WORDS, "url": at("20.wav"), "continue_at": 8, "auto_concat": True}
        task_id = (await caller.done("/sonic/upload-extend", body))["task_id"]
        joining = 0
        while True:
            status, answer = await caller.get(f"/sonic/task/{task_id}")
            pairs = answer.get("data", [])
            assert all(set(pair) == {"extended", "full"} for pair in pairs)
            joining += any(pair["extended"]["state"] == "succeeded" and pair["full"] is None for pair in pairs)
            if status == 200 and all(pair["full"] for pair in pairs):
                break
        assert joining
        assert len(pairs) == 2
        for pair in pairs:
            assert pair["full"]["clip_id"] != pair["extended"]["clip_id"]
            assert float(pair["full"]["duration"]) == pytest.approx(8 + float(pair["extended"]["duration"]))


async def test_upload_and_cover_is_as_long_as_the_recording(opened, recordings):
    async with opened() as caller, recordings() as at:
        answer = await caller.done("/sonic/upload-cover", {**WORDS, "url": at("20.wav")})
        assert answer["steps"]["cover"]["task_id"] == answer["task_id"]
        clips = (await caller.ended(answer["task_id"]))["data"]
        assert [clip["duration"] for clip in clips] == ["20.00"] * 2


async def test_a_recording_that_cannot_be_fetched_is_reported_in_the_steps_and_costs_nothing(opened, recordings):
    async with opened() as caller, recordings() as at:
        body = {**WORDS, "url": at("no-head.mp3"), "continue_at": 0.1}
        status, answer = await caller.post("/sonic/upload-extend", body)
        message = "Audio URL is not accessible. Please provide a public direct audio file URL."
        assert (status, answer["error"]) == (400, message)
        assert answer["steps"]["upload"]["error"] == message
        assert caller.box.books.charged == 0


async def test_a_sample_grows_out_of_a_clip_or_of_a_recording_but_not_of_both(opened, recordings):
    async with opened() as caller, recordings() as at:
        song = await caller.song()
        body = {"custom_mode": False, "mv": "sonic-v5", "gpt_description_prompt": "lo-fi hip hop"}
        body |= {"chop_sample_start_s": 2, "chop_sample_end_s": 6.5}
        assert len(await caller.made("/sonic/sample", {**body, "sample_clip_id": song["clip_id"]})) == 2
        assert len(await caller.made("/sonic/sample", {**body, "url": at("20.wav")})) == 2
        assert (await caller.refused("/sonic/sample", body))[0] == 400
        both = {**body, "url": at("20.wav"), "sample_clip_id": song["clip_id"]}
        assert (await caller.refused("/sonic/sample", both))[0] == 400
        assert caller.box.books.charged == 30


async def test_a_mashup_takes_exactly_two_songs(opened):
    async with opened() as caller:
        clips = await caller.made("/sonic/create", WORDS)
        ids = [clip["clip_id"] for clip in clips]
        body = {"custom_mode": False, "mv": "sonic-v5", "gpt_description_prompt": "bright dance mashup"}
        assert len(await caller.made("/sonic/mashup", {**body, "mashup_clip_ids": ids})) == 2
        for wrong in (ids[:1], [*ids, ids[0]], "".join(ids), [1, 2], None):
            assert (await caller.refused("/sonic/mashup", {**body, "mashup_clip_ids": wrong}))[0] == 400
        assert (await caller.refused("/sonic/mashup", {**body, "mashup_clip_ids": [ids[0], "x"]}))[0] == 404


@pytest.mark.parametrize("auto_concat", [True, False])
async def test_replace_section_gives_the_section_and_on_demand_the_whole_song(opened, auto_concat):
    async with opened() as caller:
        song = await caller.song()
        body = {"clip_id": song["clip_id"], "mv": "sonic-v5", "infill_start_s": 5, "infill_end_s": 11}
        body |= {"infill_lyrics": "Hold the line", "prompt": song["lyrics"], "auto_concat": auto_concat}
        items = await caller.made("/sonic/replace-section", body)
        assert len(items) == 2
        sections = [item["replaced"] for item in items] if auto_concat else items
        assert [section["duration"] for section in sections] == ["6.00"] * 2
        assert sections[0]["lyrics"] == "Hold the line"
        if auto_concat:
            assert [item["full"]["duration"] for item in items] == [song["duration"]] * 2


async def test_a_clip_that_is_not_finished_cannot_be_used_yet(opened):
    async with opened(durations={"sonic": 100}, not_ready_share=(0.1, 0.1)) as caller:
        task_id = (await caller.done(CREATE, WORDS))["task_id"]
        await asyncio.sleep(20)
        _, answer = await caller.get(f"/sonic/task/{task_id}")
        clip = answer["data"][0]
        assert clip["state"] == "running"
        assert (await caller.refused("/sonic/bpm", {"clip_id": clip["clip_id"]}))[0] == 400
        await caller.ended(task_id)
        await caller.done("/sonic/bpm", {"clip_id": clip["clip_id"]})


async def test_a_failed_clip_cannot_be_used(opened):
    async with opened(task_failure_rate=1.0) as caller:
        song = await caller.song()
        assert song["state"] == "failed"
        status, _, text = await caller.refused("/sonic/bpm", {"clip_id": song["clip_id"]})
        assert status == 400
        assert "failed" in text


async def test_clips_of_another_key_look_as_if_they_did_not_exist(opened):
    async with opened(keys=("mine", "theirs")) as caller:
        song = await caller.song()
        status, answer = await caller.post("/sonic/bpm", {"clip_id": song["clip_id"]}, key="theirs")
        unknown, other = await caller.post("/sonic/bpm", {"clip_id": "nobody's"}, key="theirs")
        assert (status, answer["type"]) == (unknown, other["type"]) == (404, "not_found")


async def test_the_number_of_songs_a_task_makes_is_an_option(opened):
    async with opened(clips_per_task=3) as caller:
        assert len(await caller.made(CREATE, WORDS)) == 3
