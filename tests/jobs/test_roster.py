"""Who works on a key: one does, the rest follow."""

import pytest

from aimusic_async.events import JobState
from aimusic_async.jobs.roster import Roster
from aimusic_async.jobs.work import Order, Where

from .lives import Life


def work(key="one", group=""):
    return Life(key=key, group=group).work


@pytest.fixture
def roster():
    return Roster()


def test_the_first_works_and_the_others_of_its_key_follow(roster):
    first, second, third, other = work(), work(), work(), work("two")
    assert [roster.claim(each) for each in (first, second, third, other)] == [None, first, first, None]
    assert list(roster.followers()) == [second, third]
    assert list(roster.concerned(("", "one"))) == [first, second, third]
    assert list(roster.concerned(("", "two"))) == [other]
    assert list(roster.concerned(("", "three"))) == []


def test_keys_of_different_groups_are_different_keys(roster):
    assert roster.claim(work(group="a")) is None
    assert roster.claim(work(group="b")) is None
    assert not roster


def test_a_job_that_claims_again_is_in_its_own_way_nowhere(roster):
    first, second = work(), work()
    for _ in range(2):
        assert roster.claim(first) is None
        assert roster.claim(second) is first
    assert list(roster.followers()) == [second]


def test_a_follower_may_work_once_the_other_has_left(roster):
    first, second, third = work(), work(), work()
    for each in (first, second, third):
        roster.claim(each)
    roster.leave(first)
    assert list(roster.concerned(("", "one"))) == [second, third]
    assert roster.claim(third) is None
    assert roster.claim(second) is third
    assert list(roster.concerned(("", "one"))) == [third, second]


def test_a_job_that_leaves_is_forgotten_and_leaves_the_others_alone(roster):
    first, second, third = work(), work(), work()
    for each in (first, second, third):
        roster.claim(each)
    roster.leave(second)
    assert list(roster.followers()) == [third]
    roster.leave(third)
    assert not roster
    assert list(roster.concerned(("", "one"))) == [first]
    roster.leave(third)
    roster.leave(first)
    assert list(roster.concerned(("", "one"))) == []


def test_it_holds_something_while_a_job_follows(roster):
    first, second = work(), work()
    assert not roster
    roster.claim(first)
    assert not roster
    roster.claim(second)
    assert roster


def test_a_job_that_others_work_on_follows_and_its_key_is_free(roster):
    first, second = work(), work()
    roster.claim(first)
    first.where = Where.ELSEWHERE
    roster.placed(first)
    roster.placed(first)
    assert list(roster.followers()) == [first]
    assert roster.claim(second) is None


@pytest.mark.parametrize(
    ("where", "state"),
    [
        (Where.HERE, JobState.QUEUED),
        (Where.ENTERING, JobState.QUEUED),
        (Where.ELSEWHERE, JobState.SUCCEEDED),
        (Where.ELSEWHERE, JobState.CANCELLED),
    ],
)
def test_only_an_open_job_of_others_follows(roster, where, state):
    first = work()
    roster.claim(first)
    first.where, first.state = where, state
    roster.placed(first)
    assert not roster
    assert list(roster.concerned(("", "one"))) == [first]


def test_a_job_that_has_no_place_gets_none(roster):
    stranger = work()
    stranger.where = Where.ELSEWHERE
    roster.placed(stranger)
    roster.leave(stranger)
    assert not roster
    assert list(roster.concerned(("", "one"))) == []


def test_followers_come_by_some_hundreds_and_each_gets_its_turn(roster):
    works = [work(f"key {number}") for number in range(1200)]
    for each in works:
        each.where = Where.ELSEWHERE
        roster.claim(each)
        roster.placed(each)
    turns = [[each.key for each in roster.followers()] for _ in range(4)]
    assert [len(turn) for turn in turns] == [500] * 4
    assert [key for turn in turns for key in turn] == [f"key {number % 1200}" for number in range(2000)]


def test_followers_may_leave_and_claim_while_they_are_gone_through(roster):
    first, second = work(), work()
    for each in (first, second):
        each.where = Where.ELSEWHERE
        roster.claim(first)
        roster.placed(first)
    roster.claim(second)
    seen = []
    for each in roster.followers():
        seen.append(each)
        roster.leave(each)
    assert seen == [first]
    assert list(roster.concerned(("", "one"))) == [second]


def test_everybody_concerned_may_leave_while_they_are_told(roster):
    works = [work() for _ in range(3)]
    for each in works:
        roster.claim(each)
    told = []
    for each in roster.concerned(("", "one")):
        told.append(each)
        roster.leave(each)
    assert told == works


def test_a_job_whose_order_changes_in_other_ways_keeps_its_place(roster):
    first = work()
    roster.claim(first)
    first.order = Order(priority=5)
    roster.leave(first)
    assert list(roster.concerned(("", "one"))) == []
