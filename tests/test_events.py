"""Events: every listener hears everything, and none can disturb the session."""

import pytest

from aimusic_async import (
    Events,
    JobChanged,
    JobState,
    MusicSession,
    Purpose,
    RequestAnswered,
    RequestSent,
    sonic,
)


@pytest.mark.looptime
async def test_events_report_a_job_from_the_queue_to_its_end(song):
    heard = []
    async with MusicSession.sandbox(speed=1) as music:
        music.events.listen(heard.append)
        job = music.submit(song())
        await job
    states = [event.state for event in heard if isinstance(event, JobChanged)]
    assert states == [JobState.QUEUED, JobState.SENDING, JobState.SUBMITTED, JobState.SUCCEEDED]
    sent = [event.purpose for event in heard if isinstance(event, RequestSent)]
    assert sent[0] is Purpose.SUBMIT
    assert set(sent[1:]) == {Purpose.POLL}
    answered = [event.status for event in heard if isinstance(event, RequestAnswered)]
    assert len(answered) == len(sent)
    assert set(answered) <= {200, 202}
    assert all(event.job is job for event in heard)


@pytest.mark.looptime
async def test_statistics_count_by_purpose(song):
    async with MusicSession.sandbox(speed=1) as music:
        await music.run(song())
        await music.run(sonic.UpsampleTags(tags="pop"))
        assert (music.stats.submits, music.stats.calls, music.stats.refusals) == (1, 1, 0)
        assert music.stats.requests == 2 + music.stats.polls
        assert music.stats.polls >= 1


def test_a_listener_that_raises_is_logged_and_the_others_still_hear(caplog):
    events, heard = Events(), []
    events.listen(lambda _event: 1 / 0)
    events.listen(heard.append)
    events.emit("something")
    assert heard == ["something"]
    assert "listener failed" in caplog.text


def test_a_listener_can_leave_also_while_it_hears():
    events, heard = Events(), []

    def once(event):
        heard.append(event)
        leave()

    leave = events.listen(once)
    events.emit("first")
    events.emit("second")
    leave()
    assert heard == ["first"]


def test_a_listener_hears_only_the_kinds_that_it_names():
    events, all_of_them, some = Events(), [], []
    events.listen(all_of_them.append)
    leave = events.listen(some.append, JobChanged, RequestSent)
    changed, sent = JobChanged(None, JobState.QUEUED), RequestSent(Purpose.POLL, None)
    answered = RequestAnswered(Purpose.POLL, None, 200, 1.0)
    for event in (changed, sent, answered):
        events.emit(event)
    leave()
    events.emit(sent)
    assert all_of_them == [changed, sent, answered, sent]
    assert some == [changed, sent]


def test_who_listens_to_a_kind_is_known_before_an_event_is_made():
    events = Events()
    assert not events.listeners(JobChanged)
    leave = events.listen(print, JobChanged)
    assert events.listeners(JobChanged) == (print,)
    assert not events.listeners(RequestSent)
    leave()
    leave()
    assert not events.listeners(JobChanged)
