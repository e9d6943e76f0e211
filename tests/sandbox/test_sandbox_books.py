"""The sandbox's own books agree with what the service tells, at any time."""

import asyncio

import pytest

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
            told = await caller.credits()
            assert sum(told.values()) == books.balance == 10_500 - books.charged + books.refunded
        assert 0 < books.refunded < books.charged == 400
