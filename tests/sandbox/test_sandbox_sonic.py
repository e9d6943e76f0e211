"""What a Sonic task shows as time goes by, in every form that the service has."""

import asyncio
from datetime import UTC, datetime

import pytest

pytestmark = pytest.mark.looptime

SONG = {"custom_mode": True, "mv": "sonic-v5", "prompt": "[Verse]\nLanterns on the water line"}
STEADY = {"durations": {"sonic": 100}, "not_ready_share": (0.2, 0.2), "clip_spread": (0.7, 0.7), "period": 0.05}


async def seen_at(caller, task_id, *moments):
    """What a task shows at moments after now."""
    start = asyncio.get_running_loop().time()
    looks = []
    for moment in moments:
        await asyncio.sleep(start + moment - asyncio.get_running_loop().time())
        looks.append(await caller.raw("GET", f"/sonic/task/{task_id}"))
    return looks


async def test_a_task_is_not_ready_then_runs_then_its_clips_settle_one_by_one(opened):
    async with opened(**STEADY) as caller:
        task_id = (await caller.done("/sonic/create", SONG))["task_id"]
        looks = await seen_at(caller, task_id, 10, 19.9, 20.1, 69.9, 70.1, 99.9, 100.1, 500)
        text = "Task is still processing. Please wait a few seconds and try again."
        assert looks[0] == looks[1] == (202, {"type": "not_ready", "error": text})
        states = [[clip["state"] for clip in answer["data"]] for status, answer in looks[2:] if status == 200]
        running, half, done = ["running", "running"], ["succeeded", "running"], ["succeeded", "succeeded"]
        assert states == [running, running, half, half, done, done]
        assert looks[2][1].keys() == {"code", "message", "data"}


async def test_a_running_clip_has_a_streaming_address_and_no_length(opened):
    async with opened(**STEADY) as caller:
        task_id = (await caller.done("/sonic/create", SONG))["task_id"]
        [(_, running), (_, done)] = await seen_at(caller, task_id, 50, 101)
        early, late = running["data"][0], done["data"][0]
        assert early["clip_id"] == late["clip_id"]
        assert early["audio_url"] != late["audio_url"]
        assert "streaming" in early["audio_url"]
        assert early["duration"] is None
        assert early["image_url"] == ""
        async with caller.http.get(early["audio_url"]) as answer:
            assert answer.status == 404


async def test_asking_does_not_change_what_a_task_shows(opened):
    async def last(*moments):
        async with opened(**STEADY) as caller:
            task_id = (await caller.done("/sonic/create", SONG))["task_id"]
            _, answer = (await seen_at(caller, task_id, *moments))[-1]
            return [(clip["clip_id"], clip["state"]) for clip in answer["data"]]

    assert await last(5, 30, 60, 80) == await last(80)


async def test_not_ready_can_be_200(opened):
    async with opened(not_ready_status=200) as caller:
        task_id = (await caller.done("/sonic/create", SONG))["task_id"]
        status, answer = await caller.get(f"/sonic/task/{task_id}")
        assert (status, answer["type"]) == (200, "not_ready")


async def test_the_answer_to_a_submit_can_carry_code(opened):
    async with opened(code_in_submit=True) as caller:
        assert (await caller.done("/sonic/create", SONG))["code"] == 200


@pytest.mark.parametrize(
    ("spelling", "sent", "shown"),
    [
        ("sent", "chirp-v4-5-plus", "chirp-v4-5-plus"),
        ("sent", "sonic-v3-5", "sonic-v3-5"),
        ("sonic", "chirp-v5", "sonic-v5"),
        ("chirp", "sonic-v4-5", "chirp-v4-5"),
    ],
)
async def test_models_are_spelled_as_the_option_says(opened, spelling, sent, shown):
    async with opened(mv_spelling=spelling) as caller:
        assert (await caller.song(mv=sent))["mv"] == shown


async def test_created_at_is_the_services_time_of_acceptance_in_milliseconds(opened):
    start = datetime(2026, 1, 24, 13, 0, 0, tzinfo=UTC)
    async with opened(start=start, period=2.5) as caller:
        assert (await caller.song())["created_at"] == "2026-01-24T13:00:02.500Z"


async def test_the_services_clock_runs_as_fast_as_the_sandbox(opened):
    async with opened(start=datetime(2026, 1, 24, tzinfo=UTC), speed=60) as caller:
        await asyncio.sleep(60)
        assert (await caller.song())["created_at"].startswith("2026-01-24T01:00:0")


async def test_a_failed_task_shows_failed_clips_and_its_price_comes_back(opened):
    async with opened(task_failure_rate=1.0, **STEADY) as caller:
        task_id = (await caller.done("/sonic/create", SONG))["task_id"]
        assert sum((await caller.credits()).values()) == 10_490
        [(_, before), (status, answer)] = await seen_at(caller, task_id, 60, 101)
        assert [clip["state"] for clip in before["data"]] == ["running", "running"]
        assert status == 200
        assert [clip["state"] for clip in answer["data"]] == ["failed", "failed"]
        assert answer["data"][0]["error"]
        assert "error_message" not in answer["data"][0]
        assert answer["data"][0]["audio_url"] == ""
        assert await caller.credits() == {"credits": 10_000, "extra_credits": 500}
        assert caller.box.books.refunded == 10


async def test_a_failed_task_can_show_one_failed_body_instead(opened):
    async with opened(task_failure_rate=1.0, failed_form="body") as caller:
        task_id = (await caller.done("/sonic/create", SONG))["task_id"]
        answer = await caller.ended(task_id)
        assert answer == {"type": "failed", "message": "Generation failed.", "refund_processed": True}


async def test_a_task_that_times_out_answers_504_and_is_refunded(opened):
    async with opened(timeout_rate=1.0, **STEADY) as caller:
        task_id = (await caller.done("/sonic/create", SONG))["task_id"]
        [(_, before), late] = await seen_at(caller, task_id, 99, 101)
        assert [clip["state"] for clip in before["data"]] == ["running", "running"]
        text = "Task failed due to timeout. Credits were previously refunded."
        assert late == (504, {"type": "timeout", "error": text})
        assert caller.box.books.refunded == 10


async def test_a_task_of_which_one_clip_succeeds_is_not_refunded(opened):
    async with opened(failure_rate=0.5, durations={"sonic": 9}) as caller:
        mixed = 0
        for _ in range(12):
            states = {clip["state"] for clip in await caller.made("/sonic/create", SONG)}
            mixed += len(states) == 2
            refunded = caller.box.books.taken()[-1].refunded
            assert refunded == (10 if states == {"failed"} else 0)
        assert mixed


async def test_the_same_seed_gives_the_same_ids_songs_and_times(opened):
    async def run(seed):
        async with opened(seed=seed, start=datetime(2026, 1, 1, tzinfo=UTC), failure_rate=0.3) as caller:
            clips = [clip for _ in range(3) for clip in await caller.made("/sonic/create", SONG)]
            port = caller.box.url
            return [{name: str(value).replace(port, "") for name, value in clip.items()} for clip in clips]

    first, again, other = await run(1), await run(1), await run(2)
    assert first == again
    assert {clip["clip_id"] for clip in first}.isdisjoint(clip["clip_id"] for clip in other)
    assert [clip["duration"] for clip in first] != [clip["duration"] for clip in other]


@pytest.mark.parametrize("status", [400, 404])
async def test_an_unknown_task_is_refused_with_its_literal_text(opened, status):
    async with opened(unknown_task_status=status) as caller:
        got, answer = await caller.get("/sonic/task/5b0f5a0e-2c64-4c1a-9f0e-2b7c0a3f8d11")
        assert (got, answer["error"]) == (status, "task not found.")


@pytest.mark.parametrize("path", ["/sonic/task", "/sonic/task/"])
async def test_a_missing_task_id_is_refused_with_its_literal_text(opened, path):
    async with opened() as caller:
        assert await caller.get(path) == (400, {"type": "validation_error", "error": "missing task id."})


async def test_a_task_is_seen_by_its_own_key_and_on_its_own_platform_only(opened):
    async with opened(keys=("mine", "theirs")) as caller:
        task_id = (await caller.done("/sonic/create", SONG))["task_id"]
        for path, key in ((f"/sonic/task/{task_id}", "theirs"), (f"/producer/task/{task_id}", "mine")):
            assert (await caller.get(path, key=key))[1]["error"] == "task not found."
