"""One request a period and key: exactly."""

import asyncio

import pytest

from aimusic_async.sandbox.limit import SLACK, Limit, slack

SONG = {"custom_mode": True, "mv": "sonic-v5", "prompt": "la"}


def test_a_request_is_let_in_exactly_one_period_after_the_last_that_was():
    limit = Limit(3.0)
    assert limit.wait("a", 100.0) == 0
    assert limit.wait("a", 102.9) == pytest.approx(0.1)
    assert limit.wait("a", 103.0) == 0
    assert limit.wait("a", 105.99) > 0


def test_refused_requests_do_not_move_the_period():
    limit = Limit(3.0)
    limit.wait("a", 0.0)
    for tenths in range(1, 30):
        assert limit.wait("a", tenths / 10) > 0
    assert limit.wait("a", 3.0) == 0


def test_the_slack_forgives_rounding_and_nothing_more():
    limit = Limit(0.05)
    limit.wait("a", 0.1 + 0.2)
    assert limit.wait("a", 0.3 + 0.05) == 0
    assert limit.wait("a", 0.35 + 0.04999) > 0


def test_after_a_quiet_time_as_many_come_at_once_as_the_plan_has_and_no_more():
    limit = Limit(3.0, 3)
    assert [limit.wait("a", 100.0) for _ in range(4)] == [0, 0, 0, pytest.approx(3.0)]
    assert limit.wait("a", 102.9) > 0
    assert limit.wait("a", 103.0) == 0
    assert limit.wait("a", 103.1) > 0
    assert [limit.wait("a", 1000.0) for _ in range(4)] == [0, 0, 0, pytest.approx(3.0)]


def test_what_seems_to_come_early_because_the_one_before_was_seen_late_is_let_in_but_nobody_gets_more_by_it():
    limit = Limit(1.0, slack=0.2)
    assert limit.wait("a", 0.15) == 0  # it came at 0
    assert [limit.wait("a", float(moment)) for moment in range(1, 10)] == [0] * 9
    early = Limit(1.0, slack=0.2)
    assert sum(early.wait("a", moment * 0.9) == 0 for moment in range(100)) <= 91


def test_only_a_real_clock_at_a_higher_speed_than_the_services_needs_such_slack():
    assert slack(3.0, 1, real=True) == slack(0.05, 60, real=False) == SLACK
    assert slack(0.05, 60, real=True) == 0.02
    assert slack(0.01, 200, real=True) == 0.0075
    assert slack(0.01, 300, real=True) == 0.05


def test_what_is_taken_back_does_not_count_and_only_that():
    limit = Limit(3.0)
    limit.wait("a", 0.0)
    limit.wait("b", 0.0)
    limit.forget("a", 0.0)
    assert limit.wait("a", 0.1) == 0
    limit.forget("a", 0.0)
    assert limit.wait("a", 0.2) > 0
    assert limit.wait("b", 0.2) > 0


def test_keys_do_not_disturb_each_other():
    limit = Limit(3.0)
    assert limit.wait("a", 0.0) == limit.wait("b", 0.0) == 0


@pytest.mark.looptime
async def test_every_request_counts_polls_and_credits_and_wrong_ones_too(opened):
    async with opened() as caller:
        assert (await caller.raw("GET", "/get-credits"))[0] == 200
        for method, path in (
            ("GET", "/get-credits"),
            ("GET", "/sonic/task/x"),
            ("POST", "/sonic/create"),
            ("POST", "/sonic/bpm"),
        ):
            status, answer = await caller.raw(method, path)
            assert (status, answer["type"]) == (429, "rate_limit")
            assert answer["error"]
        await asyncio.sleep(3)
        assert (await caller.raw("POST", "/sonic/create", {}))[0] == 400
        assert (await caller.raw("POST", "/sonic/create", SONG))[0] == 429
        assert len(caller.box.books.refusals) == 5
        assert caller.box.books.taken() == []


@pytest.mark.looptime
async def test_requests_at_exactly_the_period_are_all_let_in_and_slightly_faster_ones_are_not(opened):
    async with opened(period=3.0, speed=60) as caller:
        for _ in range(20):
            assert (await caller.raw("GET", "/get-credits"))[0] == 200
            await asyncio.sleep(0.05)
        answers = []
        for _ in range(20):
            answers.append((await caller.raw("GET", "/get-credits"))[0])
            await asyncio.sleep(0.0499)
        assert answers.count(200) == 10


@pytest.mark.looptime
async def test_a_plan_of_several_at_once_is_an_option(opened):
    async with opened(period=2.0, capacity=2) as caller:
        for statuses in ((200, 200, 429), (200, 429)):
            assert [(await caller.raw("GET", "/get-credits"))[0] for _ in statuses] == list(statuses)
            await asyncio.sleep(2.0)


@pytest.mark.looptime
async def test_requests_without_a_known_key_do_not_count(opened):
    async with opened() as caller:
        assert (await caller.raw("GET", "/get-credits", key="wrong"))[0] == 401
        assert (await caller.raw("GET", "/get-credits"))[0] == 200


@pytest.mark.looptime
async def test_each_key_has_an_allowance_of_its_own(opened):
    async with opened(keys=("one", "two")) as caller:
        for key, status in (("one", 200), ("two", 200), ("one", 429)):
            assert (await caller.raw("GET", "/get-credits", key=key))[0] == status


@pytest.mark.looptime
async def test_only_posts_count_when_the_option_says_so(opened):
    async with opened(count="posts") as caller:
        for _ in range(5):
            assert (await caller.raw("GET", "/get-credits"))[0] == 200
        assert (await caller.raw("POST", "/sonic/create", SONG))[0] == 200
        assert (await caller.raw("POST", "/sonic/create", SONG))[0] == 429
        assert (await caller.raw("GET", "/get-credits"))[0] == 200


@pytest.mark.looptime
@pytest.mark.parametrize(("option", "header"), [(True, "3"), (False, None)])
async def test_retry_after_is_sent_on_demand(opened, option, header):
    async with opened(retry_after=option, rate_limit_type="rate_limited") as caller:
        await caller.raw("GET", "/get-credits")
        await asyncio.sleep(0.5)
        headers = {"Authorization": f"Bearer {caller.box.key}"}
        async with caller.http.get(f"{caller.box.url}/api/v1/get-credits", headers=headers) as answer:
            assert (answer.status, answer.headers.get("Retry-After")) == (429, header)
            assert (await answer.json())["type"] == "rate_limited"


@pytest.mark.looptime
async def test_retry_after_is_in_the_services_seconds(opened):
    async with opened(retry_after=True, speed=60) as caller:
        await caller.raw("GET", "/get-credits")
        headers = {"Authorization": f"Bearer {caller.box.key}"}
        async with caller.http.get(f"{caller.box.url}/api/v1/get-credits", headers=headers) as answer:
            assert (answer.status, answer.headers.get("Retry-After")) == (429, "3")


@pytest.mark.looptime
async def test_files_do_not_count(opened):
    async with opened() as caller:
        for _ in range(3):
            async with caller.http.get(f"{caller.box.url}/files/nothing.mp3") as answer:
                assert answer.status == 404
        assert (await caller.raw("GET", "/get-credits"))[0] == 200
        assert len(caller.box.books.requests) == 1
