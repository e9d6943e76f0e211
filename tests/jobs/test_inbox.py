"""Which job a delivery belongs to, and what a delivery for nobody here is worth."""

import json

import pytest

from aimusic_async import lyrics, sonic
from aimusic_async.api.wire import SongEvent
from aimusic_async.callbacks import WebhookConfig
from aimusic_async.jobs.inbox import Inbox, steps_of
from aimusic_async.jobs.work import Where
from aimusic_async.journal.steps import Accepted, Finished

from .lives import DONE, FAILED, HALF, KEPT, STREAMS, Life, delivery, reply

URL = "https://me.test/hook"
CONFIG = WebhookConfig(URL, "a secret of 16 characters")


@pytest.fixture
def inbox():
    return Inbox(CONFIG)


def a_work(key="one", *, journal=True, here=True, task=None, **given):
    work = Life(key=key, journal=journal, **given).work
    work.where = Where.HERE if here else work.where
    if task is not None:
        work.task_id = task
    return work


def known(inbox, *works):
    for work in works:
        inbox.expect(work)
        inbox.know(work)


def test_its_own_secret_finds_a_job_whatever_its_task(inbox):
    first, second = a_work("a", task="t1"), a_work("b", task="t2")
    known(inbox, first, second)
    for task_id in ("t1", "t9", None):
        assert inbox.find(delivery(task_id), first.id) is first


def test_another_job_s_secret_finds_that_job_and_never_the_task_s(inbox):
    first, second = a_work("a", task="t1"), a_work("b", task="t2")
    known(inbox, first, second)
    assert inbox.find(delivery("t1"), second.id) is second
    assert inbox.find(delivery("t1"), "0" * 32) is None


def test_the_account_s_secret_finds_a_job_by_its_task(inbox):
    first, second = a_work("a", task="t1"), a_work("b", task="t2")
    known(inbox, first, second)
    assert inbox.find(delivery("t1"), None) is first
    assert inbox.find(delivery("t2"), None) is second
    assert inbox.find(delivery("t3"), None) is None
    assert inbox.find(delivery(None), None) is None


def test_a_job_s_secret_finds_it_by_its_task_also_when_nothing_was_expected(inbox):
    """As when its request was sent by an earlier run: the address names the record."""
    work = a_work(task="t1")
    inbox.know(work)
    assert inbox.find(delivery("t1"), work.id) is work
    assert inbox.find(delivery("t2"), work.id) is None
    assert inbox.find(delivery(None), work.id) is None


@pytest.mark.parametrize("where", [Where.ELSEWHERE, Where.ENTERING])
def test_a_job_that_is_not_worked_on_here_is_not_found(inbox, where):
    work = a_work(task="t1")
    known(inbox, work)
    work.where = where
    assert inbox.find(delivery("t1"), work.id) is None
    assert inbox.find(delivery("t1"), None) is None


def test_what_has_ended_is_forgotten(inbox):
    work = a_work(task="t1")
    known(inbox, work)
    inbox.forget(work)
    inbox.forget(work)
    assert inbox.find(delivery("t1"), work.id) is None
    assert inbox.find(delivery("t1"), None) is None


def test_to_forget_a_job_leaves_the_next_one_of_its_key_and_task_alone(inbox):
    first, second = a_work(task="t1"), a_work(task="t1")
    known(inbox, first, second)
    inbox.forget(first)
    assert inbox.find(delivery("t1"), second.id) is second
    assert inbox.find(delivery("t1"), None) is second


def test_a_job_without_a_task_is_known_by_its_secret_alone(inbox):
    work = a_work()
    known(inbox, work)
    assert inbox.find(delivery("t1"), work.id) is work
    assert inbox.find(delivery("t1"), None) is None
    inbox.forget(work)
    assert inbox.find(delivery("t1"), work.id) is None


# --- what is sent along ----------------------------------------------------------------------------------------------


def test_the_address_of_a_journalled_job_names_its_record(inbox):
    work = a_work()
    assert inbox.fields(work) == {
        "webhook_url": f"{URL}?job={work.id}",
        "webhook_secret": CONFIG.secret_for(work.id),
    }


def test_the_address_of_another_job_is_made_once(inbox):
    work = a_work(journal=False)
    fields = inbox.fields(work)
    name = fields["webhook_url"].removeprefix(f"{URL}?job=")
    assert len(name) == 32
    assert inbox.fields(work) == fields
    assert inbox.find(delivery("t1"), name) is work
    other = inbox.fields(a_work(journal=False))
    assert other["webhook_url"] != fields["webhook_url"]
    assert other["webhook_secret"] != fields["webhook_secret"]


def test_who_named_an_address_of_his_own_gets_his_deliveries_there(inbox):
    theirs = sonic.CreateMusic(prompt="la", mv="sonic-v5", webhook_url="https://they.test/", webhook_secret="s" * 16)
    work = a_work(request=theirs)
    assert not inbox.expect(work)
    assert inbox.fields(work) == {}
    assert inbox.find(delivery("t1"), work.id) is None


def test_what_has_no_field_for_an_address_gets_none(inbox):
    work = a_work(request=lyrics.GenerateLyrics(description="rain"))
    assert not inbox.expect(work)
    assert inbox.fields(work) == {}


def test_an_upload_is_reported_when_it_asks_for_this_session_s_own_address(inbox):
    ours = a_work("a", request=sonic.UploadMusic(url="https://me.test/a.mp3", callback_url=URL))
    theirs = a_work("b", request=sonic.UploadMusic(url="https://me.test/a.mp3", callback_url="https://they.test/"))
    at_once = a_work("c", request=sonic.UploadMusic(url="https://me.test/a.mp3"))
    assert inbox.fields(ours)["callback_url"] == f"{URL}?job={ours.id}"
    assert "webhook_url" not in inbox.fields(ours)
    assert [inbox.expect(work) for work in (ours, theirs, at_once)] == [True, False, False]


# --- what nobody here works on --------------------------------------------------------------------------------------


def steps(brought):
    return list(steps_of(brought, "record"))


def test_the_task_of_a_job_that_nobody_here_works_on_is_written_down():
    assert steps(delivery("t1")) == [Accepted("record", "t1")]


def test_its_end_is_written_down_too():
    done = steps(delivery("t1", DONE, SongEvent.COMPLETED))
    assert done == [Accepted("record", "t1"), Finished("record", json.dumps(DONE.body), task_id="t1")]
    failed = steps(delivery("t1", FAILED, SongEvent.FAILED))
    assert failed[1] == Finished("record", json.dumps(FAILED.body), "too loud", True, "t1")
    assert steps(delivery("t1", KEPT, SongEvent.FAILED))[1].refunded is False


@pytest.mark.parametrize(
    ("body", "reason"), [({}, "the service gave no reason"), ({"error": " ", "at": 7}, '{"error": " ", "at": 7}')]
)
def test_a_failure_without_a_reason_says_so_or_shows_what_came(body, reason):
    _, finished = steps(delivery("t1", reply(body), SongEvent.FAILED))
    assert (finished.error, finished.refunded) == (reason, None)


def test_what_is_said_to_be_complete_and_still_runs_is_polled_by_who_works_on_it():
    assert steps(delivery("t1", HALF, SongEvent.COMPLETED)) == [Accepted("record", "t1")]


@pytest.mark.parametrize("event", [SongEvent.STREAMING, None, "song.odd"])
def test_nothing_ends_by_another_event(event):
    assert steps(delivery("t1", DONE, event)) == [Accepted("record", "t1")]
    assert steps(delivery("t1", STREAMS, event)) == [Accepted("record", "t1")]


@pytest.mark.parametrize(
    ("data", "ended"),
    [
        ({"state": "Succeeded"}, True),
        ({"state": "failed"}, True),
        ({"state": "running"}, False),
        ({}, True),
        ([], True),
        (None, True),
        ("odd", True),
        ([{"state": "error"}, "odd", {"state": None}], True),
        ([{"state": "success"}, {"state": "pending"}], False),
        ([{"state": 7}], False),
    ],
)
def test_a_task_has_ended_when_none_of_its_clips_still_runs(data, ended):
    found = steps(delivery("t1", reply({"data": data}), SongEvent.COMPLETED))
    assert len(found) == 1 + ended


@pytest.mark.parametrize("task_id", [None, ""])
def test_a_delivery_without_a_task_is_worth_nothing(task_id):
    assert steps(delivery(task_id, DONE, SongEvent.COMPLETED)) == []


def test_half_characters_are_not_written_down():
    half = reply({"error": "half \ud83d", "data": "\ud83d"})
    accepted, finished = steps(delivery("t\ud83d", half, SongEvent.FAILED))
    assert accepted.task_id == finished.task_id == "t?"
    assert finished.error == "half ?"
    assert finished.answer.encode()


def test_an_answer_that_cannot_be_written_down_leaves_the_task_to_a_poll():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert steps(delivery("t1", reply({"x": deep}), SongEvent.COMPLETED)) == [Accepted("record", "t1")]
