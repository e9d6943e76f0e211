"""The sandbox's own books agree with what the service says, at any time."""

import asyncio

import pytest

from aimusic_async.sandbox import Fate, Fault, Script

pytestmark = pytest.mark.looptime

SONG = {"custom_mode": True, "mv": "sonic-v5", "prompt": "la"}


async def test_an_entry_tells_operation_task_body_price_and_time(opened):
    async with opened() as caller:
        start = asyncio.get_running_loop().time()
        task_id = (await caller.done("/sonic/create", SONG))["task_id"]
        [entry] = caller.box.books.taken()
        assert (entry.operation, entry.task_id, entry.credits) == ("sonic.create_music", task_id, 10)
        assert (entry.body, entry.key, entry.at - start) == (SONG, "sandbox-key", 3.0)
        assert (entry.refund_at, entry.refunded) == (None, 0)


async def test_credits_come_back_when_the_task_fails_whether_or_not_anybody_asks(opened):
    async with opened(task_failure_rate=1.0, durations={"sonic": 100}) as caller:
        await caller.done("/sonic/create", SONG)
        books = caller.box.books
        assert (books.charged, books.refunded, books.balance) == (10, 0, 10_490)
        await asyncio.sleep(99)
        assert books.refunded == 0
        await asyncio.sleep(1.1)
        assert (books.charged, books.refunded, books.balance) == (10, 10, 10_500)
        assert books.taken("sonic.create_music")[0].refunded == 10
        assert books.pots() == (10_000, 500)


async def test_the_books_can_be_read_after_closing_and_stand_still_then(opened):
    async with opened(task_failure_rate=1.0, durations={"sonic": 100}) as caller:
        await caller.done("/sonic/create", SONG)
        books = caller.box.books
    await asyncio.sleep(200)
    assert (books.charged, books.refunded) == (10, 0)


async def test_balance_charges_and_refunds_always_add_up(opened):
    async with opened(failure_rate=0.4, timeout_rate=0.1, period=0.2, seed=5) as caller:
        books = caller.box.books
        for _ in range(40):
            await caller.done("/sonic/create", SONG)
            await asyncio.sleep(7)
            reported = await caller.credits()
            assert sum(reported.values()) == books.balance == 10_500 - books.charged + books.refunded
        assert 0 < books.refunded < books.charged == 400


async def test_another_process_can_read_the_books_as_json(opened):
    script = Script(("sonic.create_music", Fault.slow(1), Fate.fails()), ("GET", Fault.refused()))
    async with opened(serve_books=True, faults=script, durations={"*": 50}) as caller:
        song = {**SONG, "title": "Lanterns", "make_instrumental": False}
        task_id = (await caller.done("/sonic/create", song))["task_id"]
        await caller.get("/get-credits")
        await caller.get("/get-credits")
        await caller.raw("POST", "/sonic/create", SONG)
        await caller.done("/sonic/upsample-tags", {"tags": "pop"})
        await asyncio.sleep(50)
        books = caller.box.books
        async with caller.http.get(f"{caller.box.url}/books") as answer:
            reported = await answer.json()
        [first, second] = reported["taken"]
        assert first == {
            "operation": "sonic.create_music",
            "key": "sandbox-key",
            "task_id": task_id,
            "title": "Lanterns",
            "prompt": "la",
            "body": song,
            "credits": 10,
            "refunded": 10,
            "at": books.task(task_id).at,
            "fault": "slow",
            "fate": "fails",
        }
        names = ("operation", "task_id", "title", "prompt", "credits", "refunded", "fault", "fate")
        assert [second[name] for name in names] == ["sonic.upsample_tags", None, None, None, 1, 0, None, None]
        assert reported["requests"] == {
            "total": 5,
            "by_status": {"200": 3, "429": 2},
            "by_fault": {"slow": 1, "429": 1},
            "too_soon": 1,
        }
        assert (reported["charged"], reported["refunded"], reported["balance"]) == (11, 10, books.balance)
        assert reported["now"] == asyncio.get_running_loop().time()
        assert len(books.requests) == 5


async def test_the_books_are_not_served_by_default(opened):
    async with opened() as caller, caller.http.get(f"{caller.box.url}/books") as answer:
        assert answer.status == 404
