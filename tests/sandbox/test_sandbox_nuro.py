"""Nuro: songs and background music, with flat tasks that are empty until the end."""

import pytest

pytestmark = pytest.mark.looptime

CREATE = "/nuro/create"
VOCAL = {"type": "vocal", "lyrics": "[verse]\nRiver under ice", "genre": "Hip Hop/Rap", "timbre": "Sweet_AUDIO_TIMBRE"}
BGM = {"type": "bgm", "description": "cinematic underscore"}
V2 = {**BGM, "version": "v2.0"}


def segments(*seconds):
    return [{"name": "verse", "duration": duration} for duration in seconds]


async def test_a_song_is_flat_and_empty_until_it_is_there(opened):
    async with opened() as caller:
        answer = await caller.done(CREATE, {**VOCAL, "duration": 60})
        assert answer.keys() == {"message", "task_id"}
        looks = []
        while not looks or looks[-1]["status"] != "succeeded":
            status, look = await caller.get(f"/nuro/task/{answer['task_id']}")
            assert status == 200
            looks.append(look)
        assert [look["progress"] for look in looks] == sorted(look["progress"] for look in looks)
        assert looks[-2]["progress"] < 100
        assert (looks[-2]["audio_url"], looks[-2]["lyrics"], looks[-2]["duration"]) == ("", "", 0)
        done = looks[-1]
        assert done.keys() == looks[0].keys()
        assert (done["task_id"], done["progress"], done["duration"]) == (answer["task_id"], 100, 60.0)
        assert (done["lyrics"], done["genre"], done["timbre"]) == (VOCAL["lyrics"], "Hip Hop/Rap", "Sweet_AUDIO_TIMBRE")
        assert done["mood"]
        assert done["gender"] in ("Female", "Male")
        async with caller.http.head(done["audio_url"]) as audio:
            assert (audio.status, audio.content_type) == (200, "audio/wav")
        assert caller.box.books.charged == 10


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (BGM, 60),
        ({**BGM, "duration": 1, "genre": ["dance/edm", "rock"], "mood": ["cheerful happy"], "theme": ["sales"]}, 1),
        ({**V2, "segments": segments(30)}, 30),
        ({**V2, "segments": segments(5, 30), "duration": 35}, 35),
        ({**V2, "duration": 120}, 120),
    ],
)
async def test_background_music_is_as_long_as_it_should_be(opened, body, seconds):
    async with opened() as caller:
        task_id = (await caller.done(CREATE, body))["task_id"]
        done = await caller.ended(task_id, "nuro")
        assert (done["status"], done["duration"], done["lyrics"]) == ("succeeded", seconds, "")
        assert caller.box.books.taken("nuro.create_instrumental")[0].credits == 10


REFUSED = [
    ({}, "The 'type' field is invalid. It should be 'vocal' or 'bgm'."),
    ({"type": "vocal"}, "The 'lyrics' field is required."),
    ({**VOCAL, "lyrics": "x" * 2001}, "The lyrics character length should be less than 2000."),
    ({**VOCAL, "gender": "female"}, "The 'gender' field is invalid. It should be 'Female' or 'Male'."),
    ({**VOCAL, "duration": 29}, "The 'duration' field should be an integer between 30 and 240."),
    ({**VOCAL, "duration": 60.5}, "The 'duration' field should be an integer between 30 and 240."),
    ({"type": "bgm"}, "The 'description' field is required."),
    ({**V2, "description": "x" * 200}, "The description character length should be less than 200."),
    ({**BGM, "duration": 61}, "The 'duration' field should be an integer between 1 and 60."),
    ({**BGM, "genre": "rock"}, "The 'genre' field should be a list of at most 5 items."),
    ({**BGM, "mood": ["happy"] * 6}, "The 'mood' field should be a list of at most 5 items."),
    ({**BGM, "version": "v3.0"}, "The 'version' field is invalid. It should be 'v1.0' or 'v2.0'."),
    ({**V2, "duration": 29}, "The 'duration' field should be an integer between 30 and 120."),
    ({**V2, "segments": []}, "The 'segments' field should be a list of segments."),
    ({**V2, "segments": segments(29)}, "The duration of a segment should be an integer between 30 and 120."),
    ({**V2, "segments": segments(4, 40)}, "The duration of a segment should be an integer between 5 and 120."),
    ({**V2, "segments": segments(5, 5)}, "The durations of the segments should add up to between 30 and 120."),
    ({**V2, "segments": segments(100, 21)}, "The durations of the segments should add up to between 30 and 120."),
    (
        {**V2, "segments": segments(30), "duration": 31},
        "The 'duration' field should be left out or equal the sum of the segments.",
    ),
]


async def test_every_wrong_body_is_refused_with_its_own_words(opened):
    async with opened() as caller:
        for body, text in REFUSED:
            assert await caller.refused(CREATE, body) == (400, "validation_error", text), body
        for body in (
            {**VOCAL, "genre": "pop"},
            {**VOCAL, "mood": ["Happy"]},
            {**BGM, "genre": ["Rock"]},
            {**V2, "segments": [{"name": "solo", "duration": 30}]},
        ):
            assert (await caller.refused(CREATE, body))[:2] == (400, "validation_error")
        assert caller.box.books.charged == 0


async def test_only_chinese_and_latin_letters_are_sung(opened):
    async with opened() as caller:
        await caller.done(CREATE, {"type": "vocal", "lyrics": "河流在冰下 naïve"})
        answer = await caller.refused(CREATE, {"type": "vocal", "lyrics": "река подо льдом"})
        assert answer == (400, "bad_request", "language not supported")


async def test_lyrics_can_have_a_least_length(opened):
    async with opened(nuro_lyrics_min=300) as caller:
        assert (await caller.refused(CREATE, VOCAL))[0] == 400
        await caller.done(CREATE, {**VOCAL, "lyrics": "x" * 300})


async def test_an_unknown_task_is_404(opened):
    async with opened() as caller:
        assert await caller.get("/nuro/task/4c35") == (404, {"type": "not_found", "error": "task not found."})


async def test_a_failed_task_says_so_and_is_refunded(opened):
    async with opened(task_failure_rate=1.0) as caller:
        task_id = (await caller.done(CREATE, VOCAL))["task_id"]
        done = await caller.ended(task_id, "nuro")
        assert (done["status"], done["audio_url"]) == ("failed", "")
        assert caller.box.books.refunded == 10


async def test_once_it_is_gone_everything_is_410(opened):
    async with opened(nuro_gone=True) as caller:
        assert (await caller.refused(CREATE, VOCAL))[:2] == (410, "endpoint_retired")
        status, answer = await caller.get("/nuro/task/4c35")
        assert (status, answer["type"]) == (410, "endpoint_retired")
