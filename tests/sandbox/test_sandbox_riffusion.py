"""Riffusion (deprecated): all its task types, and the list that grows."""

import pytest

pytestmark = pytest.mark.looptime

CREATE = "/riffusion/create"
SONG = {"custom_mode": True, "mv": "FUZZ-1.1 Pro", "make_instrumental": False, "lyrics": "[Verse]\nFar", "sound": "pop"}
EDIT = {"custom_mode": True, "mv": "FUZZ-1.0", "lyrics": "[Verse]\nNear", "sound": "jazz"}
MORE = {
    "extend": {"continue_at": 10},
    "cover": {},
    "replace": {"starts": 2, "ends": 5.5},
    "swap": {},
}
NAMES = {
    "extend_music": "riffusion.extend",
    "cover_music": "riffusion.cover",
    "replace_music": "riffusion.replace_section",
    "swap_music_sound": "riffusion.swap_sound",
    "swap_music_vocals": "riffusion.swap_vocals",
}


async def test_the_list_grows_from_nothing_over_one_finished_song_to_two(opened):
    async with opened() as caller:
        task_id = (await caller.done(CREATE, SONG))["task_id"]
        states = []
        while not states or states[-1] != ["succeeded", "succeeded"]:
            status, answer = await caller.get(f"/riffusion/task/{task_id}")
            assert status == 200
            assert answer.keys() == {"code", "message", "data"}
            states.append([clip["state"] for clip in answer["data"]])
        order = list(dict.fromkeys(tuple(look) for look in states))
        assert order[:3] == [(), ("running",), ("succeeded",)]
        assert order[3:] == [("succeeded", "running"), ("succeeded", "succeeded")]
        clip = answer["data"][0]
        assert isinstance(clip["duration"], float)
        assert clip["timestamp"] == {}
        assert (clip["lyrics"], clip["mv"]) == (SONG["lyrics"], "FUZZ-1.1 Pro")
        assert len(clip["created_at"]) == len("2025-06-01T10:00:00Z")
        assert caller.box.books.taken("riffusion.create_with_lyrics")[0].credits == 12


async def test_a_description_is_enough(opened):
    async with opened() as caller:
        body = {"task_type": "create_music", "custom_mode": False, "mv": "FUZZ-1.1", "prompt": "a song about harbours"}
        task_id = (await caller.done(CREATE, body))["task_id"]
        for _ in range(60):
            _, answer = await caller.get(f"/riffusion/task/{task_id}")
        assert [("harbours" in clip["lyrics"], clip["state"]) for clip in answer["data"]] == [(True, "succeeded")] * 2
        assert len(caller.box.books.taken("riffusion.create_with_description")) == 1


async def two_songs(caller, body):
    task_id = (await caller.done(CREATE, body))["task_id"]
    while True:
        _, answer = await caller.get(f"/riffusion/task/{task_id}")
        if [clip["state"] for clip in answer["data"]] == ["succeeded", "succeeded"]:
            return answer["data"]


@pytest.mark.parametrize("task_type", NAMES)
async def test_edits_have_one_task_type_for_songs_and_one_for_uploads(opened, recordings, task_type):
    async with opened() as caller, recordings() as at:
        song = (await two_songs(caller, SONG))[0]
        answer = await caller.done("/riffusion/upload", {"url": at("20.wav")})
        assert answer.keys() == {"code", "clip_id", "message"}
        body = {**EDIT, **MORE[task_type.partition("_")[0]]}
        plain = {**body, "task_type": task_type}
        theirs = {**body, "task_type": task_type.replace("_music", "_upload_music")}
        assert len(await two_songs(caller, {**plain, "continue_clip_id": song["clip_id"]})) == 2
        assert len(await two_songs(caller, {**theirs, "continue_clip_id": answer["clip_id"]})) == 2
        assert (await caller.refused(CREATE, {**plain, "continue_clip_id": answer["clip_id"]}))[0] == 400
        assert (await caller.refused(CREATE, {**theirs, "continue_clip_id": song["clip_id"]}))[0] == 400
        assert len(caller.box.books.taken(NAMES[task_type])) == 2


def without(body, name):
    return {key: value for key, value in body.items() if key != name}


EXTEND = {**EDIT, "task_type": "extend_music", "continue_clip_id": "c", "continue_at": 10}
MODELS = "'FUZZ-1.1 Pro', 'FUZZ-1.1', 'FUZZ-1.0 Pro', or 'FUZZ-1.0'"
REFUSED = [
    ({**SONG, "mv": "FUZZ-2.0"}, f"The 'mv' field is invalid. The model should be {MODELS}."),
    (without(SONG, "mv"), f"The 'mv' field is invalid. The model should be {MODELS}."),
    (without(SONG, "custom_mode"), "The 'custom_mode' field should be boolean."),
    (without(SONG, "make_instrumental"), "The 'make_instrumental' field should be boolean."),
    ({**SONG, "title": "x" * 81}, "The title character length should be less than 80."),
    ({"custom_mode": False, "mv": "FUZZ-1.1"}, "The 'prompt' field is required."),
    ({**SONG, "prompt": "x"}, "The 'prompt' field is only allowed when custom_mode = false."),
    ({**EXTEND, "custom_mode": False}, "The 'lyrics' field is only allowed when custom_mode = true."),
    (without(EXTEND, "lyrics"), "The 'lyrics' field is required."),
    (without(EXTEND, "continue_at"), "The 'continue_at' field is required."),
    ({**EXTEND, "continue_at": 1.5}, "The 'continue_at' field should be an integer greater than 0."),
    (without(EXTEND, "continue_clip_id"), "The 'continue_clip_id' field is required."),
    (
        {**EXTEND, "task_type": "replace_music", "starts": 5, "ends": 5},
        "The 'ends' field should be greater than 'starts'.",
    ),
]


async def test_every_wrong_body_is_refused_with_its_own_words(opened):
    async with opened() as caller:
        for body, text in REFUSED:
            assert await caller.refused(CREATE, body) == (400, "validation_error", text), body
        assert "'task_type'" in (await caller.refused(CREATE, {**SONG, "task_type": "sing"}))[2]
        assert (await caller.refused(CREATE, EXTEND))[:2] == (404, "not_found")
        assert (await caller.get("/riffusion/task/x"))[1]["error"] == "task not found."


async def test_it_can_be_gone(opened):
    async with opened(riffusion_gone=True) as caller:
        assert (await caller.refused(CREATE, SONG))[:2] == (410, "endpoint_retired")
        assert (await caller.get("/riffusion/task/x"))[0] == 410
