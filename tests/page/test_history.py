"""A history keeps when each job was queued, sent, accepted, polled and ended, and what every token went for."""

import asyncio
from itertools import pairwise

import attrs
import pytest

from aimusic_async import (
    InvalidRequest,
    JobChanged,
    JobState,
    JobStreaming,
    MusicSession,
    Purpose,
    RequestAnswered,
    RequestRefused,
    RequestSent,
    TokenBucket,
    sonic,
)
from aimusic_async.page import Batch, History


def history_of(*events):
    """A history that heard `(time, event)` pairs; its clock stands at the last."""
    history = History(lambda: events[-1][0])
    for at, event in events:
        history.hear(event, at)
    return history


def test_times_count_from_the_first_event(sheet):
    job = sheet("one")
    batch = history_of(
        (100.0, JobChanged(job, JobState.QUEUED)),
        (103.0, JobChanged(job, JobState.SENDING)),
        (103.5, RequestSent(Purpose.SUBMIT, job)),
        (104.0, JobChanged(job, JobState.SUBMITTED)),
        (119.0, RequestSent(Purpose.POLL, job)),
        (119.5, JobStreaming(job, "https://example.org/a")),
        (160.0, RequestSent(Purpose.POLL, job)),
        (161.0, JobChanged(job, JobState.SUCCEEDED)),
    ).batch()
    (line,) = batch.jobs
    assert (line.queued, line.sent, line.accepted, line.ended) == (0.0, (3.5,), 4.0, 61.0)
    assert (line.polls, line.streaming, line.state, line.reason) == ((19.0, 60.0), 19.5, JobState.SUCCEEDED, "")
    assert [(one.at, one.purpose, one.job) for one in batch.requests] == [
        (3.5, Purpose.SUBMIT, 0),
        (19.0, Purpose.POLL, 0),
        (60.0, Purpose.POLL, 0),
    ]
    assert batch.length == 61.0


def test_jobs_are_distinguished_by_identity_and_not_by_their_keys(sheet):
    first, second = sheet("same"), sheet("same")
    batch = history_of(
        (0.0, JobChanged(first, JobState.QUEUED)),
        (1.0, JobChanged(second, JobState.QUEUED)),
        (2.0, RequestSent(Purpose.SUBMIT, second)),
    ).batch()
    assert [line.sent for line in batch.jobs] == [(), (2.0,)]
    assert batch.requests[0].job == 1


def test_a_refusal_marks_the_request_that_met_it_and_the_job_is_sent_again(sheet):
    job, other = sheet("one"), sheet("other")
    batch = history_of(
        (0.0, JobChanged(job, JobState.QUEUED)),
        (1.0, RequestSent(Purpose.SUBMIT, job)),
        (1.5, RequestSent(Purpose.CALL, other)),
        (2.0, RequestAnswered(Purpose.SUBMIT, job, 429, 1.0)),
        (2.0, RequestRefused(job, 6.0)),
        (2.0, JobChanged(job, JobState.QUEUED)),
        (8.0, RequestSent(Purpose.SUBMIT, job)),
    ).batch()
    assert [one.refused for one in batch.requests] == [True, False, False]
    assert batch.jobs[0].sent == (1.0, 8.0)
    assert batch.jobs[0].queued == 0.0


def test_why_a_job_failed_is_kept(sheet):
    job = sheet("one", task_id="t1", credits=10, error=InvalidRequest("prompt", "is empty", ""))
    (line,) = history_of((0.0, JobChanged(job, JobState.FAILED))).batch().jobs
    assert "prompt is empty" in line.reason
    assert (line.task_id, line.credits, line.queued) == ("t1", 10, None)


def test_a_batch_with_an_open_job_lasts_until_now_and_an_ended_one_until_its_last_event(sheet):
    job = sheet("one")
    history = history_of((10.0, JobChanged(job, JobState.QUEUED)))
    assert history.batch(now=25.0).length == 15.0
    history.hear(JobChanged(job, JobState.CANCELLED), 12.0)
    assert history.batch(now=25.0).length == 2.0


def test_nothing_heard_is_an_empty_batch():
    assert History().batch() == Batch()


@pytest.mark.looptime
async def test_it_hears_a_whole_session(song):
    history = History(asyncio.get_running_loop().time)
    async with MusicSession.sandbox(speed=1) as music:
        music.events.listen(history)
        async with music.group() as group:
            jobs = [group.submit(song(), key=f"song {number}") for number in range(4)]
        await music.run(sonic.UpsampleTags(tags="pop"))
    batch = history.batch()
    assert [line.key for line in batch.jobs[:4]] == [job.key for job in jobs]
    assert len(batch.requests) == music.stats.requests
    for line, job in zip(batch.jobs, jobs, strict=False):
        assert line.state is JobState.SUCCEEDED
        assert line.task_id == job.task_id
        assert line.credits == job.credits == 10
        assert line.queued <= line.sent[0] <= line.accepted < line.polls[0] <= line.ended
    call = batch.jobs[4]
    assert (len(call.sent), call.accepted, call.polls) == (1, None, ())
    spent = [one.at for one in batch.requests]
    assert spent == sorted(spent)
    assert min(later - earlier for earlier, later in pairwise(spent)) >= 2.9  # the standard plan


@pytest.mark.looptime
async def test_it_hears_refusals_of_a_session_that_goes_too_fast(song):
    history = History(asyncio.get_running_loop().time)
    async with MusicSession.sandbox(speed=1) as slow:
        settings = attrs.evolve(slow._settings, rate=None, capacity=None)
        async with MusicSession(settings=settings, limiter=TokenBucket(rate=3, capacity=3)) as music:
            music.events.listen(history)
            async with music.group() as group:
                for _ in range(3):
                    group.submit(song())
    batch = history.batch()
    assert sum(one.refused for one in batch.requests) == music.stats.refusals > 0
    assert max(len(line.sent) for line in batch.jobs) > 1
