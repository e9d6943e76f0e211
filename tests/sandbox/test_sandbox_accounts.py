"""Two pots of credits: which one pays, what comes back when, and what is said when there is too little."""

import pytest

from aimusic_async.sandbox import Options
from aimusic_async.sandbox.accounts import Account
from aimusic_async.sandbox.prices import PRICES
from aimusic_async.sandbox.server import PLATFORMS
from aimusic_async.sandbox.texts import Refusal

SONG = {"custom_mode": True, "mv": "sonic-v5", "prompt": "la"}


def account(**options):
    return Account(Options(**options))


@pytest.mark.parametrize(
    ("first", "pots"), [("extra", [(20, 2), (19, 0), (7, 0)]), ("subscription", [(17, 5), (14, 5), (2, 5)])]
)
def test_one_pot_is_emptied_before_the_other_is_touched(first, pots):
    ledger = account(credits=20, extra_credits=5, first_pot=first)
    seen = []
    for price in (3, 3, 12):
        ledger.charge(price, 0.0)
        seen.append(ledger.pots(0.0))
    assert seen == pots


def test_a_price_beyond_both_pots_together_is_refused_and_takes_nothing():
    ledger = account(credits=6, extra_credits=3)
    with pytest.raises(Refusal, match="remaining credits are not enough") as refusal:
        ledger.charge(10, 0.0)
    assert (refusal.value.status, refusal.value.type) == (403, "forbidden")
    assert ledger.pots(0.0) == (6, 3)
    ledger.charge(9, 0.0)
    assert ledger.pots(0.0) == (0, 0)


def test_a_refund_comes_back_to_the_same_pots_at_its_time_and_not_before():
    ledger = account(credits=10, extra_credits=5)
    ledger.charge(8, 0.0, refund_at=30.0)
    assert ledger.pots(29.9) == (7, 0)
    assert ledger.pots(30.0) == (10, 5)
    assert ledger.pots(99.0) == (10, 5)


def test_refunds_come_in_the_order_of_their_times():
    ledger = account(credits=100, extra_credits=0)
    for price, refund_at in ((1, 30.0), (2, 10.0), (4, 20.0)):
        ledger.charge(price, 0.0, refund_at)
    assert [ledger.pots(at)[0] for at in (5, 10, 20, 30)] == [93, 95, 99, 100]


def test_credits_that_came_back_can_be_spent_again():
    ledger = account(credits=10, extra_credits=0)
    ledger.charge(10, 0.0, refund_at=5.0)
    with pytest.raises(Refusal):
        ledger.charge(1, 4.0)
    ledger.charge(10, 5.0)


def test_missing_credits_can_be_a_402():
    with pytest.raises(Refusal) as refusal:
        account(credits=0, extra_credits=0, credits_short_status=402).charge(1, 0.0)
    assert (refusal.value.status, refusal.value.type) == (402, "insufficient_credits")


def test_without_a_subscription_nothing_can_be_bought():
    with pytest.raises(Refusal, match="do not have an active subscription"):
        account(subscription=False).charge(1, 0.0)


def test_every_operation_has_a_price_and_every_price_an_operation():
    assert {operation.name for platform in PLATFORMS for operation in platform.operations} == set(PRICES)


@pytest.mark.looptime
async def test_the_account_pays_extra_credits_first_and_says_so(opened):
    async with opened(credits=50, extra_credits=4) as caller:
        await caller.done("/sonic/create", SONG)
        assert await caller.credits() == {"credits": 44, "extra_credits": 0}


@pytest.mark.looptime
async def test_a_song_that_is_too_dear_is_403_with_the_literal_text_and_makes_no_task(opened):
    async with opened(credits=5, extra_credits=4) as caller:
        text = "The remaining credits are not enough. You can buy more one-time credit packs or subscribe."
        assert await caller.refused("/sonic/create", SONG) == (403, "forbidden", text)
        assert caller.box.books.taken() == []
        assert await caller.credits() == {"credits": 5, "extra_credits": 4}


@pytest.mark.looptime
async def test_prices_can_be_changed(opened):
    async with opened(prices={"sonic.create_music": 14}) as caller:
        await caller.done("/sonic/create", SONG)
        assert caller.box.books.charged == 14


@pytest.mark.looptime
async def test_each_key_has_pots_of_its_own(opened):
    async with opened(keys=("one", "two"), credits=10, extra_credits=0) as caller:
        await caller.post("/sonic/create", SONG, key="one")
        assert (await caller.post("/sonic/create", SONG, key="two"))[0] == 200
        assert caller.box.books.balance == 0
