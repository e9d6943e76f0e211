"""The laws of a job's life, over every state and event of the table, whatever the table says follows."""

import json

import attrs
import pytest

from aimusic_async import sonic
from aimusic_async.api.wire import find_task_id
from aimusic_async.errors import ApiError, AuthenticationError, JobCancelled, JobTimeout, MusicError, TransportError
from aimusic_async.events import JobState
from aimusic_async.jobs import happenings as on
from aimusic_async.jobs.happenings import Do, Put, Queue, Say, Sign, Watch
from aimusic_async.jobs.work import Where, Work
from aimusic_async.journal import steps
from aimusic_async.journal.memory import MemoryJournal
from aimusic_async.journal.record import storable

from .lives import (
    ACCOUNT,
    ENDED,
    EVENTS,
    FAILED,
    OPEN,
    REFUSED,
    SONG,
    STATES,
    WITHOUT_JOURNAL,
    Life,
    accepted,
    delivery,
    given_up,
    life_in,
    refusal,
    reply,
)
from .test_lifecycle_table import CASES

COMBINATIONS = [(state, event, True) for state, event, _ in CASES]
COMBINATIONS += [
    (state, event, False)
    for state, event, _ in CASES
    if state in WITHOUT_JOURNAL and not event.startswith(("entered", "begun", "heard"))
]
FIELDS = [name for name in vars(Work) if not name.startswith("_")]


@attrs.define
class Seen:
    """One combination: what was before, what happened, and what followed."""

    name: str
    life: Life
    before: dict
    puts_before: int
    committed_before: int
    event: object
    effects: list

    @property
    def work(self):
        return self.life.work

    @property
    def steps(self):
        return [effect.step for effect in self.effects if isinstance(effect, Put)]


def snapshot(work):
    """Return every field of a work."""
    fields = [*(field.name for field in attrs.fields(Work)), *FIELDS]
    return {name: value for name in fields if not callable(value := getattr(work, name))}


def every_combination():
    for state, name, journal in COMBINATIONS:
        life = life_in(state, journal=journal)
        event = EVENTS[name](life)
        before, puts, committed = snapshot(life.work), len(life.puts), life.budget.committed
        effects = life.happen(event)
        yield Seen(f"{state}, {name}, journal={journal}", life, before, puts, committed, event, effects)


SEEN = list(every_combination())


def broken(law):
    """Return the combinations that break a law."""
    return [seen.name for seen in SEEN if law(seen) is False]


@pytest.mark.parametrize("state", STATES)
def test_each_state_of_the_tables_is_the_state_that_its_name_says(state):
    work = life_in(state).work
    in_flight = ["leaving", "sent", "hooked", "given-up", "overtaken"]
    assert work.done == (state in ENDED)
    assert work.in_flight == (state in in_flight)
    assert work.departed == (state not in ("leaving", "stale")) or not work.in_flight
    assert (work.awaiting is not None) == (state in ("awaiting", "rejoining"))
    assert (
        work.state
        == {
            **dict.fromkeys(OPEN, "queued"),
            **dict.fromkeys(["asked", "leaving", "sent", "hooked", "given-up", "awaiting", "rejoining"], "sending"),
            **dict.fromkeys(["submitted", "overtaken", "watches", "asks-t1"], "submitted"),
            **{name: name for name in ENDED},
        }[state]
    )


# --- sending -------------------------------------------------------------------------------------------------------


def test_nothing_is_sent_before_the_journal_said_that_its_attempt_has_begun():
    def law(seen):
        if Do.SEND in seen.effects and seen.life.journal:
            begin = seen.life.last(steps.Begin)
            over = [step for step in seen.life.puts if isinstance(step, steps.NotBegun | steps.Refused)]
            said = isinstance(seen.event, on.Stored) and seen.event.step == begin
            return (said or seen.before["begun"] is not None) and begin.attempt not in [step.attempt for step in over]
        return None

    assert broken(law) == []
    assert sum(Do.SEND in seen.effects for seen in SEEN) == 6


def test_nothing_is_sent_while_it_is_being_sent():
    assert broken(lambda seen: not (Do.SEND in seen.effects and seen.before["in_flight"])) == []


def test_a_follower_that_hears_twice_that_nobody_has_the_job_is_sent_once():
    """It asks once a second, too: what it heard before the journal answered asks no second time."""
    life = life_in("follows")
    assert life.happen(on.Heard(life.record("sending", None))) == [Do.REENTER]
    life.happen(on.Submitted())
    assert life.happen(on.Heard(life.record("sending", None))) == []
    answer = life.enters(life.record("queued", attempts=0))
    assert [life.happen(answer), life.happen(answer)] == [[Queue()], []]
    life.happen(Sign.GRANTED)
    begun = life.begins(life.record("sending", attempts=1))
    assert [life.happen(answer), life.happen(begun)] == [[], [Do.SEND]]


def test_a_job_of_unknown_outcome_waits_for_no_token():
    unknown = ("awaiting", "rejoining", "unknown")

    def law(seen):
        queued = seen.work.state is JobState.QUEUED or any(isinstance(effect, Queue) for effect in seen.effects)
        return not (seen.name.startswith(unknown) and queued)

    assert broken(law) == []


def test_a_task_that_is_known_is_never_sent_again():
    """A webhook may come between the journal's word and the news that the token was given back."""
    for seen in SEEN:
        if seen.before["state"] is JobState.SUBMITTED and seen.before["where"] is Where.HERE:
            assert seen.work.state is not JobState.QUEUED, seen.name
    life = life_in("leaving")
    life.happen(on.Delivered(delivery("t1")))
    effects = life.happen(Sign.STALE)
    assert (life.work.state, effects, life.work.in_flight) == (JobState.SUBMITTED, [], False)


def test_every_open_job_has_somebody_who_goes_on_with_it():
    """A token to come, the journal's word, the answer to its POST, a poll, a webhook, or others."""

    def law(seen):
        if seen.work.done or seen.work.where is Where.ELSEWHERE or seen.work.awaiting is not None:
            return None
        if seen.name.startswith(("asked, begun-stale", "asked, entered")):
            return None  # the word on its latest attempt is still to come
        watched = seen.work.state is not JobState.SUBMITTED or seen.life.holders & {"poll", "journal"}
        return bool(seen.life.holders and watched)

    assert broken(law) == []


# --- ending --------------------------------------------------------------------------------------------------------


def test_a_job_ends_once_and_nothing_is_done_after_that():
    def law(seen):
        ended = seen.effects.count(Do.END)
        was = seen.before["state"] not in (JobState.QUEUED, JobState.SENDING, JobState.SUBMITTED)
        last = [effect for effect in seen.effects if isinstance(effect, Do | Queue | Watch | on.PollAt)][-1:]
        return ended == (seen.work.done and not was) and (not ended or last == [Do.END])

    assert broken(law) == []


def test_each_end_has_its_last_step_before_it():
    """Unless the journal itself said how it ended, or others have it, or its outcome was written down before."""
    last = (steps.Released, steps.Finished, steps.OutcomeUnknown)

    def law(seen):
        if Do.END not in seen.effects or not seen.life.journal:
            return None
        if seen.before["where"] is Where.ELSEWHERE or isinstance(seen.event, on.Stored | on.Heard | on.Taken):
            return None
        if seen.work.state is JobState.UNKNOWN:
            return any(isinstance(step, steps.OutcomeUnknown) for step in seen.life.puts)
        end = seen.effects.index(Do.END)
        return [isinstance(effect, Put) and isinstance(effect.step, last) for effect in seen.effects[:end]][-1:] == [
            True
        ]

    assert broken(law) == []


def test_an_event_on_an_ended_job_changes_nothing_but_the_ids_that_it_keeps():
    def law(seen):
        if seen.before["state"] not in ENDED:
            return None
        after = snapshot(seen.work)
        new = after.pop("former") - seen.before["former"]
        known = {step.task_id for step in seen.steps if isinstance(step, steps.Accepted)}
        kept = all(isinstance(step, steps.Accepted | steps.Released) for step in seen.steps)
        others = [effect for effect in seen.effects if not isinstance(effect, Put | Say)]
        before = {name: value for name, value in seen.before.items() if name != "former"}
        return after == before and kept and not others and (not seen.life.journal or new == known)

    assert broken(law) == []


def test_ids_that_an_answer_or_a_webhook_brings_are_kept():
    def law(seen):
        match seen.event:
            case on.Answered(poll=False, reply=said):
                task_id = find_task_id(said)
            case on.Delivered(delivery=brought):
                task_id = brought.task_id
            case _:
                return None
        put = {step.task_id for step in seen.life.puts if isinstance(step, steps.Accepted)}
        return task_id in {None, seen.work.task_id, *seen.work.former, *put}

    assert broken(law) == []


def test_what_was_cancelled_in_mid_post_ends_when_the_post_is_over_whatever_came_before():
    """Also when a webhook was faster than the POST, and the job was cancelled between the two."""
    life = life_in("overtaken")
    life.happen(given_up(life.work))
    life.happen(on.Answered(accepted("t1")))
    assert life.work.state is JobState.DETACHED
    assert isinstance(life.work.error, JobCancelled)


@pytest.mark.parametrize("how", ["cancel", "timeout", "released", "broke"])
def test_a_job_that_may_have_been_paid_for_is_never_said_to_be_unpaid(how):
    """Its answer was lost, others know its task by now, and it is given up before it has learned of that itself."""
    life = life_in("rejoining")
    life.happen(EVENTS[how](life))
    assert life.work.state in (JobState.UNKNOWN, JobState.DETACHED)
    assert "nothing was paid" not in str(life.work.error)
    assert life.budget.committed == 10


def test_a_token_that_went_stale_ends_what_was_given_up_meanwhile():
    life = life_in("leaving")
    life.happen(given_up(life.work))
    effects = life.happen(Sign.STALE)
    assert [type(step) for step in (effect.step for effect in effects[:-1])] == [steps.NotBegun, steps.Released]
    assert (life.work.state, effects[-1]) == (JobState.CANCELLED, Do.END)


# --- what is written down --------------------------------------------------------------------------------------------


class Journal:
    """A life beside a journal that stores each step at once."""

    def __init__(self, state, **given):
        self.journal = MemoryJournal(clock=lambda: 1.0, steady=lambda: 1.0)
        self.life = life_in(state, **given)
        self.stored = 0
        self.store()

    def happen(self, event):
        self.life.happen(event)
        self.store()

    def store(self):
        for step in self.life.puts[self.stored :]:
            self.journal._apply(step)
        self.stored = len(self.life.puts)

    @property
    def record(self):
        (record,) = self.journal._records.values()
        return record


def test_a_late_id_of_an_ended_job_does_not_make_it_ours_again():
    """Nobody here watches it any more: while this session lives, nobody else could."""
    kept = Journal("unknown")
    kept.happen(on.Answered(accepted("t1")))
    assert (kept.record.state, kept.record.task_id) == (JobState.SUBMITTED, "t1")
    assert kept.record.owner is None


@pytest.mark.parametrize("state", ["sent", "hooked", "given-up"])
def test_a_job_of_unknown_outcome_is_nobody_s_also_when_the_journal_knew_its_task_before(state):
    """Another process may have stored what a webhook brought before the answer to the POST was lost."""
    kept = Journal(state)
    kept.journal._apply(steps.Accepted(kept.record.id, "t1"))
    kept.happen(EVENTS["lost"](kept.life))
    if not kept.life.work.done:
        kept.happen(EVENTS["timeout"](kept.life))  # no webhook came in time
    assert (kept.record.state, kept.record.task_id, kept.record.owner) == (JobState.SUBMITTED, "t1", None)


def test_the_journal_has_the_end_of_the_task_that_was_watched_also_when_its_post_made_another():
    """A webhook told of an earlier attempt while the next one was under way, and that one was taken, too."""
    kept = Journal("overtaken")
    kept.happen(on.Answered(accepted("t2")))
    kept.happen(EVENTS["completed"](kept.life))
    assert kept.life.work.state is JobState.SUCCEEDED
    assert {kept.record.task_id, *kept.record.former_ids} == {"t1", "t2"}
    assert (kept.record.state, kept.record.owner) == (JobState.SUCCEEDED, None)


def texts(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for pair in value.items() for one in pair for text in texts(one))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from (text for one in value for text in texts(one))


HALF = "half \ud83d"
NASTY = {
    "cancel": lambda life: given_up(life.work),
    "timeout": lambda life: on.GivenUp(JobTimeout(life.work.job, HALF)),
    "excluded": lambda life: on.Excluded(AuthenticationError(HALF, status=401)),
    "broke": lambda life: on.Broke(MusicError(HALF)),
    "refused": lambda life: on.Answered(refusal(400, HALF)),
    "limited": lambda life: on.Answered(refusal(429, HALF)),
    "senseless": lambda life: on.Answered(reply({"x": HALF})),
    "lost": lambda life: on.Failed(TransportError(HALF)),
    "taken": lambda life: on.Answered(accepted(HALF)),
    "sorry": lambda life: on.Failed(ApiError(HALF, status=418), poll=True),
    "failed": lambda life: on.Answered(attrs.evolve(FAILED, body={**FAILED.body, "error": HALF}), poll=True),
    "streaming": lambda life: on.Delivered(delivery(HALF)),
    "completed": lambda life: on.Delivered(delivery(HALF, FAILED)),
}
STATES_OF = {
    "refused limited senseless lost taken": ("sent", "hooked", "given-up"),
    "sorry failed": ("submitted",),
    "streaming completed": ("fresh", "stale", "asked", "sent", "awaiting", "submitted", "unknown"),
}
POSSIBLE = {name: states for names, states in STATES_OF.items() for name in names.split()}


@pytest.mark.parametrize("nasty", NASTY)
def test_every_step_can_be_stored_as_text_whatever_the_service_said(nasty):
    for state in POSSIBLE.get(nasty, OPEN):
        life = life_in(state)
        before = len(life.puts)
        life.happen(NASTY[nasty](life))
        for step in life.puts[before:]:
            assert all(text == storable(text) for text in texts(attrs.asdict(step))), (state, step)


@pytest.mark.parametrize(
    "given",
    [
        {"request": attrs.evolve(SONG, title=HALF)},
    ],
    ids=lambda given: next(iter(given)),
)
def test_every_step_can_be_stored_as_text_whatever_the_caller_said(given):
    life = life_in("entering", **given)
    life.happen(given_up(life.work))
    for step in life.puts:
        assert all(text == storable(text) for text in texts(attrs.asdict(step))), step


def test_an_id_with_half_a_character_is_one_id_however_often_it_comes():
    life = life_in("sent")
    life.happen(on.Delivered(delivery(HALF)))
    assert life.work.task_id == "half ?"
    assert life.happen(on.Answered(accepted(HALF))) == []
    assert json.dumps(life.work.task_id)


# --- money -----------------------------------------------------------------------------------------------------------


def test_a_budget_always_knows_what_its_jobs_have_committed():
    assert broken(lambda seen: seen.life.budget.committed == seen.work.committed) == []


def test_nothing_is_sent_beyond_a_budget():
    law = lambda seen: Do.SEND not in seen.effects or seen.life.budget.committed <= seen.life.budget.limit  # noqa: E731
    assert broken(law) == []


def test_a_session_s_budget_pays_for_nothing_that_the_session_did_not_send():
    """What others sent, or an earlier run, is theirs: also when this session was about to send it."""
    never_sent = ("entering", "fresh", "asked", "returning", "follows", "watches")

    def law(seen):
        if not seen.name.startswith(never_sent) or Do.SEND in seen.effects or seen.work.state is JobState.SENDING:
            return None
        return seen.life.budget.committed == 0

    assert [name for name in broken(law) if "journal=True" in name] == []


@pytest.mark.parametrize("owner", ["mine", "other"])
def test_what_this_session_sent_counts_also_when_others_learned_first_that_it_was_taken(owner):
    life = life_in("rejoining")
    assert life.budget.committed == 10
    life.happen(life.enters(life.record("submitted", owner)))
    assert (life.work.state, life.work.credits) == (JobState.SUBMITTED, 10)
    assert life.budget.committed == 10


def test_a_refusal_gives_the_credits_back_and_a_task_keeps_them():
    life = life_in("sent")
    assert life.budget.committed == 10
    life.happen(on.Answered(REFUSED))
    assert life.budget.committed == 0
    life.happen(Sign.GRANTED)
    assert life.budget.committed == 10
    life = life_in("submitted")
    life.happen(EVENTS["kept"](life))
    assert (life.budget.committed, life.work.credits) == (10, 10)
    life = life_in("submitted")
    life.happen(EVENTS["failed"](life))
    assert (life.budget.committed, life.work.credits) == (0, 0)


def test_what_is_asked_again_until_it_is_ready_keeps_its_credits_in_the_named_group_s_ledger():
    """It was charged with the first answer: meanwhile no other job of the group may spend them."""
    wav = sonic.GetWav(clip_id="5b0f7d1e-0000-4000-8000-000000000000")
    kept = Journal("sent", request=wav, group="album", limit=1)
    kept.happen(on.Answered(reply({"type": "not_ready"})))
    assert kept.life.work.credits == 1
    ledger = kept.journal._ledgers[ACCOUNT, "group:album"]
    assert ledger.spent + ledger.at_risk == 1
