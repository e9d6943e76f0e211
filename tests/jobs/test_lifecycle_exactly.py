"""The words, times and numbers of a job's life, which its table leaves out."""

import attrs
import pytest

from aimusic_async.api.account import GetCredits
from aimusic_async.errors import (
    ApiError,
    AuthenticationError,
    BudgetExceeded,
    GatewayError,
    JobFailed,
    JobTimeout,
    JournalError,
    KeyConflict,
    NotFound,
    NotSent,
    SubmissionUnknown,
    TransportError,
)
from aimusic_async.events import JobState
from aimusic_async.jobs import happenings as on
from aimusic_async.jobs.entering import submitted
from aimusic_async.jobs.happenings import Do, PollAt, Put, Queue, Say, Sign, Watch
from aimusic_async.jobs.work import Where
from aimusic_async.journal import steps

from .lives import (
    DONE,
    EVENTS,
    LOST,
    OTHER_SONG,
    OVER,
    PAGE,
    RUNNING,
    SONG,
    START,
    Life,
    delivery,
    life_in,
    refusal,
    reply,
    told,
)


def after(state, *events, **given):
    """Return a life in which events happened in a state; names stand for those of the table."""
    life = life_in(state, **given)
    for event in events:
        life.happen(EVENTS[event](life) if isinstance(event, str) else event)
    return life


def errors(life):
    """Return what was written down of its steps, as words."""
    return [(type(step).__name__, step.error) for step in life.puts if getattr(step, "error", None)]


# --- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "event", "text"),
    [
        ("given-up", "ok", "one was given up while it was sent; the service has it as task t1"),
        ("hooked", "lost", "one: the answer was lost; a webhook may still report what became of it"),
        ("submitted", "of-t2", "one is task t1, and the service has another attempt of it as task t2"),
        (
            "submitted",
            "odd",
            "one: a webhook makes no sense, so its task is polled: sonic.create_music: sorry (HTTP 400)",
        ),
    ],
)
def test_a_warning_says_what_has_happened(state, event, text):
    life = life_in(state)
    assert Say(text) in life.happen(EVENTS[event](life))


@pytest.mark.parametrize(
    ("state", "event", "kind", "text"),
    [
        ("entering", "entered-error", JournalError, "the file is no journal"),
        ("entering", "entered-gone", JournalError, "one: its record is gone from the journal; submit it again"),
        ("entering", "entered-failed", JobFailed, "one failed: too loud (task t1)"),
        ("asked", "begun-error", JournalError, "one was not sent: the file is no journal"),
        ("asked", "begun-gone", JournalError, "one: its record is gone from the journal; submit it again"),
        ("asked", "begun-over", BudgetExceeded, f"one {OVER} (it was never sent; nothing was paid)"),
        (
            "fresh",
            "over-budget",
            BudgetExceeded,
            "one would exceed the budget: it costs 10 credits, 9 of 9 are left (it was never sent; nothing was paid)",
        ),
        ("submitted", "stuck", JobTimeout, "one still runs after 3600 seconds (task t1 can be attached again)"),
        ("submitted", "failed", JobFailed, "one failed: too loud; credits were refunded (task t1)"),
        ("submitted", "kept", JobFailed, "one failed: too loud; credits were not refunded (task t1)"),
        ("sent", "400", ApiError, "sonic.create_music: too rude (HTTP 400)"),
        ("sent", "401", AuthenticationError, "sonic.create_music: wrong key (HTTP 401)"),
    ],
)
def test_the_error_that_ends_a_job_says_why(state, event, kind, text):
    error = after(state, event).work.error
    assert isinstance(error, kind)
    assert str(error) == text
    assert getattr(error, "passing", False) is False


@pytest.mark.parametrize(("event", "reason"), [("lost", str(LOST)), ("broke", "broken off while it was sent")])
def test_an_unknown_outcome_says_what_was_lost_and_why(event, reason):
    life = after("sent", event)
    error = life.work.error
    assert isinstance(error, SubmissionUnknown)
    assert (error.reason, error.job) == (reason, life.work.job)
    assert str(error.__cause__) == reason
    assert errors(life) == [("OutcomeUnknown", reason)]
    if event == "broke":
        assert str(error.__cause__.__cause__) == "one: the session broke: KeyError('x')"


@pytest.mark.parametrize("state", ["entering", "follows"])
def test_an_unknown_outcome_of_an_earlier_run_is_told_as_the_journal_has_it(state):
    life = after(state, *(["submitted"] if state == "follows" else []))
    life.happen(life.enters(life.record("unknown", None)))
    assert isinstance(life.work.error, SubmissionUnknown)
    assert life.work.error.reason == "too loud"
    life = after("entering")
    life.happen(life.enters(life.record("unknown", None, error=None)))
    assert life.work.error.reason == "the journal does not say why"


def test_what_a_webhook_could_not_tell_in_time_ends_as_what_was_lost():
    life = after("awaiting")
    unknown = life.work.awaiting
    life.happen(EVENTS["timeout"](life))
    assert life.work.error is unknown
    assert unknown.__cause__ is LOST or str(unknown.__cause__) == "the connection was lost"


@pytest.mark.parametrize(
    ("state", "events", "words"),
    [
        ("stale", ["a-minute-later"], [("NotBegun", "waited too long for its turn")]),
        ("stale", ["streaming"], [("NotBegun", "a webhook says that it was taken before")]),
        ("asked", ["cancel"], [("NotBegun", "one was cancelled (it was never sent; nothing was paid)")]),
        ("sent", ["429"], [("Refused", "sonic.create_music: too fast (HTTP 429)")]),
        ("sent", ["not-sent"], [("Refused", "no connection")]),
        ("given-up", ["400"], [("Refused", "sonic.create_music: too rude (HTTP 400)")]),
    ],
)
def test_a_step_says_why_an_attempt_is_over(state, events, words):
    found = [pair for pair in errors(after(state, *events)) if pair[0] != "Released"]
    assert found == words


@pytest.mark.parametrize("state", ["fresh", "submitted", "asked"])
def test_a_record_that_is_released_says_why(state):
    life = after(state, "cancel")
    step = life.last(steps.Released)
    assert step.error == str(life.work.error)
    assert (step.id, step.owner, step.cancelled) == (life.work.id, "mine", state != "submitted")


def test_an_answer_that_cannot_be_written_down_leaves_the_task_to_a_poll():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    life = after("submitted", on.Answered(reply({**DONE.body, "x": deep}), poll=True))
    assert life.work.state is JobState.SUCCEEDED
    step = life.last(steps.Released)
    assert step.error.startswith("the answer cannot be written down: RecursionError(")
    assert not [step for step in life.puts if isinstance(step, steps.Finished)]
    life.work.raw = None


# --- the key belongs to another --------------------------------------------------------------------------------------


def test_a_key_of_another_request_shows_both():
    life = after("entering")
    mine = life.last(steps.Enter).record.request
    life.happen(life.enters(life.record("queued", "other", request='{"op":"other"}')))
    assert isinstance(life.work.error, KeyConflict)
    assert (life.work.error.kept, life.work.error.given) == ('{"op":"other"}', mine)
    assert life.work.where is Where.ELSEWHERE
    life = Life()
    life.happen(on.Taken("the other one"))
    assert (life.work.error.kept, life.work.error.given) == ("the other one", mine)


def test_a_key_of_another_task_shows_both():
    life = Life(task_id="t1")
    life.happen(on.Submitted())
    life.happen(life.enters(life.record("submitted", "other", task_id="t7", request=None)))
    assert life.work.error.kept == "sonic.create_music, task t7"
    assert life.work.error.given == "sonic.create_music, task t1"


def test_a_key_of_the_same_request_is_no_conflict():
    assert SONG != OTHER_SONG
    life = after("entering")
    life.happen(life.enters(life.record("queued", request=None)))
    assert (life.work.state, life.work.where) == (JobState.QUEUED, Where.HERE)


# --- how it begins ---------------------------------------------------------------------------------------------------


def test_a_job_without_a_journal_waits_at_once_and_an_attached_one_is_watched():
    assert Life(journal=False).happen(on.Submitted()) == [Queue()]
    life = Life(journal=False, task_id="t1")
    assert life.work.state is JobState.SUBMITTED
    assert life.happen(on.Submitted()) == [Do.START_TIMER, Do.KNOWN, Watch(None)]
    assert life.work.watched_since == START


def test_a_request_that_only_reads_is_not_written_down():
    life = Life(request=GetCredits())
    assert life.happen(on.Submitted()) == [Queue()]
    assert (life.work.id, life.work.where) == (None, Where.HERE)
    assert life.happen(Sign.GRANTED) == [Do.CHANGED, Do.SEND]
    effects = life.happen(on.Answered(reply({"credits": 5, "extra_credits": 2})))
    assert effects == [Do.WENT_WELL, on.Credited(7), Do.END]
    assert life.work.result.total == 7


def test_a_new_job_enters_with_its_record_and_its_decision():
    life = Life(resend=(JobState.UNKNOWN,))
    (put,) = life.happen(on.Submitted())
    assert put == Put(steps.Enter(life.work.new_record(), (JobState.UNKNOWN,)))
    record = put.step.record
    assert (record.owner, record.state, record.cost, record.task_id, record.repeatable) == (
        "mine",
        "queued",
        10,
        None,
        False,
    )
    life.happen(life.enters(life.record("queued")))
    assert life.work.order.resend == ()


def test_a_follower_s_decision_to_send_again_is_the_other_s():
    life = Life(resend=(JobState.UNKNOWN,))
    life.happen(on.Taken())
    (put,) = life.happen(on.Submitted())
    assert put.step.resend == ()


def test_a_job_that_is_resumed_enters_under_the_record_that_it_has():
    life = Life()
    kept = life.record("submitted", None, id="made by an older version")
    assert life.happen(on.Submitted(kept)) == [Put(steps.Enter(attrs.evolve(kept, owner="mine")))]
    assert life.work.id == "made by an older version"
    effects = life.happen(life.enters(attrs.evolve(kept, owner="mine", accepted=5.0, updated=65.0)))
    assert effects[-1] == Watch(60.0, exact=False)


def test_an_attached_task_of_which_the_journal_knows_no_task_is_given_up():
    life = Life(task_id="t1")
    life.happen(on.Submitted())
    effects = life.happen(life.enters(life.record("queued", task_id="t1", request=None)))
    assert told(life, effects) == "detached: recorded Released end"
    assert str(life.work.error) == "one: its task is unknown by now; submit its request again"
    assert (life.work.state, life.work.error.passing) == (JobState.DETACHED, False)


@pytest.mark.parametrize(
    ("accepted_at", "updated", "speed", "age"),
    [(5.0, 20.0, 1.0, 15.0), (5.0, 20.0, 4.0, 60.0), (30.0, 20.0, 1.0, 0.0), (None, 20.0, 1.0, None)],
)
def test_a_task_that_is_adopted_is_as_old_as_the_journal_says(accepted_at, updated, speed, age):
    life = after("entering")
    life.work.rules = attrs.evolve(life.work.rules, speed=speed)
    life.now += 50
    effects = life.happen(life.enters(life.record("submitted", accepted=accepted_at, updated=updated)))
    assert effects[-1] == Watch(age, exact=False)
    assert life.work.watched_since == START + 50
    assert (life.work.task_id, life.work.credits) == ("t1", 10)


@pytest.mark.parametrize("state", ["queued", "submitted"])
@pytest.mark.parametrize("attempts", [0, 7])
def test_what_the_journal_knows_of_attempts_is_known_here(state, attempts):
    life = after("entering")
    life.happen(life.enters(life.record(state, attempts=attempts, former=" t8 t9")))
    assert (life.work.attempt, life.work.former, life.work.begun) == (attempts, {"t8", "t9"}, False)
    assert life.work.recorded
    if state == "queued":
        (_, put) = life.happen(Sign.GRANTED)
        assert put == Put(steps.Begin(life.work.id, "mine", attempts + 1, {}))


def test_a_named_group_s_limit_is_a_condition_of_each_attempt():
    life = after("asked", group="album", limit=25)
    assert life.last(steps.Begin).limits == {"group:album": 25}
    assert after("asked", group="album").last(steps.Begin).limits == {}


# --- times -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "name"), [(0.0, "send"), (60.0, "send"), (60.001, "NotBegun#1 Begin#2")])
def test_an_attempt_that_was_written_down_counts_for_a_minute(seconds, name):
    life = life_in("stale")
    life.now += seconds
    assert told(life, life.happen(Sign.GRANTED)) == f"sending: changed {name}"


@pytest.mark.parametrize(("seconds", "state"), [(3600.0, JobState.SUBMITTED), (3600.001, JobState.DETACHED)])
@pytest.mark.parametrize("reply", [RUNNING, refusal(500, "sorry")])
def test_a_task_that_runs_for_an_hour_is_stuck(reply, seconds, state):
    life = life_in("submitted")
    life.now += seconds
    life.happen(on.Answered(reply, poll=True))
    assert life.work.state is state


@pytest.mark.parametrize("event", [on.Failed(TransportError("lost"), poll=True), on.Answered(PAGE, poll=True)])
def test_a_task_of_which_nobody_hears_is_not_stuck_and_has_all_of_its_hour_afterwards(event):
    life = life_in("submitted")
    life.now += 3000
    life.happen(event)
    life.now += 4000
    life.happen(event)
    life.now += 1000
    life.happen(on.Answered(RUNNING, poll=True))
    assert (life.work.state, life.work.watched_since) == (JobState.SUBMITTED, START + 5000)
    life.now = START + 5000 + 3600.001
    life.happen(on.Answered(RUNNING, poll=True))
    assert life.work.state is JobState.DETACHED


def test_a_webhook_that_says_that_a_task_runs_gives_it_up_never():
    life = life_in("submitted")
    life.now += 10_000
    assert life.happen(on.Delivered(delivery("t1"))) == [Do.WENT_WELL, Do.STREAMS]


def test_failures_in_a_row_wait_longer_and_longer_and_success_forgets_them():
    life = life_in("submitted")
    fail = on.Failed(TransportError("lost"), poll=True)
    waits = [life.happen(fail)[-1] for _ in range(4)]
    assert waits == [PollAt(START + seconds) for seconds in (1, 2, 4, 8)]
    assert str(life.work.trouble) == "lost"
    life.happen(on.Answered(RUNNING, poll=True))
    assert (life.work.trouble, life.work.tries) == (None, 0)
    assert life.happen(fail)[-1] == PollAt(START + 1)


def test_a_refusal_for_speed_is_no_failure():
    life = life_in("submitted")
    for _ in range(3):
        assert life.happen(EVENTS["poll-429"](life))[-1] == PollAt(START)
    assert life.happen(EVENTS["poll-lost"](life))[-1] == PollAt(START + 1)


def test_a_timeout_has_what_went_wrong_last_as_its_cause():
    life = after("submitted", "poll-lost", "timeout")
    assert isinstance(life.work.error, JobTimeout)
    assert life.work.error.__cause__ is LOST


def test_what_surely_was_not_sent_is_sent_again_however_long_it_takes():
    life = life_in("fresh", journal=False)
    fail = on.Failed(NotSent("no connection"))
    waits = []
    for _ in range(20):
        life.happen(Sign.GRANTED)
        waits += [effect.delay for effect in life.happen(fail) if isinstance(effect, Queue)]
    assert waits == [1, 2, 4, 8, 16, 32, *[60] * 14]


def test_what_does_not_pass_ends_at_once():
    life = life_in("fresh", journal=False)
    life.happen(Sign.GRANTED)
    fail = on.Failed(NotSent("the certificate is not trusted", passing=False))
    assert life.happen(fail) == [Do.END]
    assert life.work.error is fail.error


@pytest.mark.parametrize(("status", "tries"), [(307, 3), (308, 3), (405, 3), (413, 1), (414, 1), (431, 1)])
def test_what_a_gateway_surely_kept_back_is_sent_again_unless_it_is_too_large(status, tries):
    life = life_in("fresh")
    for left in reversed(range(tries)):
        life.happen(Sign.GRANTED)
        life.happen(life.begins(life.record("sending", attempts=life.work.attempt)))
        life.happen(on.Answered(attrs.evolve(PAGE, status=status)))
        assert life.work.state is (JobState.QUEUED if left else JobState.FAILED)
    assert isinstance(life.work.error, GatewayError)
    assert not life.last(steps.Refused).final


def test_a_direct_call_s_time_counts_from_the_call():
    life = life_in("fresh", journal=False)
    life.work.order = attrs.evolve(life.work.order, direct=True)
    assert submitted(life.work, None, START) == [Do.START_TIMER, Queue()]


def test_a_task_that_the_service_took_may_be_unknown_for_two_minutes_and_an_attached_one_for_three_polls():
    for life, polls in ((life_in("submitted"), 8), (attached(), 3)):
        waits = []
        while not life.work.done:
            for one in life.happen(EVENTS["poll-404"](life)):
                if isinstance(one, PollAt):
                    waits.append(one.moment - life.now)
                    life.now = one.moment
        assert waits == [1, 2, 4, 8, 16, 32, 60][: polls - 1]
        assert isinstance(life.work.error, NotFound)


def attached():
    life = Life(journal=False, task_id="t1")
    life.happen(on.Submitted())
    return life


# --- what is known ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("owner", ["other", "mine"])
def test_a_follower_knows_the_task_that_the_journal_knows(owner):
    life = life_in("follows")
    assert life.happen(on.Heard(life.record("submitted", owner))) == [Do.CHANGED, Do.KNOWN]
    assert (life.work.task_id, life.work.credits, life.work.state) == ("t1", 10, JobState.SUBMITTED)
    assert life.happen(on.Heard(life.record("submitted", owner, task_id="t2", credits=20))) == [Do.KNOWN]
    assert (life.work.task_id, life.work.credits) == ("t2", 20)


def test_an_attempt_that_has_ended_before_it_left_is_taken_back_once_and_counts_no_more():
    life = after("stale", "a-minute-later")
    assert (life.work.begun, life.work.attempting, life.work.attempt) == (False, True, 2)
    life = after("stale", "streaming")
    assert (life.work.begun, life.work.attempting) == (False, False)
    life = after("stale", "cancel")
    assert (life.work.begun, life.work.attempting) == (False, False)
    assert len([step for step in life.puts if isinstance(step, steps.NotBegun)]) == 1


@pytest.mark.parametrize("event", ["429", "400", "not-sent", "lost", "ok"])
def test_an_attempt_that_is_over_counts_no_more(event):
    life = after("sent", event)
    assert (life.work.begun, life.work.attempting, life.work.in_flight) == (False, False, False)


@pytest.mark.parametrize("owner", ["mine", "other"])
def test_a_job_of_unknown_outcome_whose_task_others_know_is_known_again(owner):
    life = life_in("rejoining")
    life.happen(life.enters(life.record("submitted", owner)))
    assert (life.work.awaiting, life.work.task_id) == (None, "t1")
    life.happen(EVENTS["cancel"](life))
    assert life.work.state is JobState.DETACHED


def test_a_job_that_waits_again_after_others_lost_its_task_has_no_task():
    life = life_in("asks-t1")
    assert life.work.task_id == "t1"
    life.happen(EVENTS["entered-queued-mine"](life))
    assert (life.work.task_id, life.work.state) == (None, JobState.QUEUED)
    life.happen(EVENTS["cancel"](life))
    assert life.work.state is JobState.CANCELLED
