"""Plans: what is left by what the journal knows, its price, and how long it will take."""

import json

import attrs
import pytest

from aimusic_async import Credits, JobRecord, JobState, sonic, to_plain
from aimusic_async.batch import Standing
from aimusic_async.batch.plan import forecast, learn, make_plan
from aimusic_async.journal.record import as_text
from aimusic_async.manifest import parse_manifest
from aimusic_async.scheduling.durations import Durations

PERIOD = 3.06
SONG = {"op": "sonic.create_music", "mv": "sonic-v5", "gpt_description_prompt": "rain"}
STEMS = {"op": "sonic.stems_full", "key": "stems", "clip_id": "$song.clip"}


def rows(*given):
    return parse_manifest("\n".join(map(json.dumps, given)).encode(), "a.jsonl").rows


def songs(count):
    return rows(*({"key": str(number), **SONG} for number in range(count)))


def record(row, state, **more):
    request = row.request or sonic.StemsFull(clip_id="x")
    text = as_text(to_plain(request))
    return JobRecord(
        id="1", account="a", group="g", key=row.key, operation=request.operation, request=text, state=state, **more
    )


def plan(given, *records, balance=None, **more):
    return make_plan(given, records, balance=balance, durations=Durations(), period=PERIOD, **more)


def test_it_counts_jobs_and_credits_by_operation():
    planned = plan(rows({"key": "song", **SONG}, SONG, STEMS), balance=Credits(credits=50, extra_credits=10))
    assert [attrs.astuple(share) for share in planned.shares] == [
        ("sonic.create_music", 2, 20),
        ("sonic.stems_full", 1, 50),
    ]
    assert (planned.jobs, planned.credits, planned.missing) == (3, 70, 10)
    assert plan(songs(1), balance=Credits(credits=50)).missing == 0


def test_it_counts_with_the_prices_of_the_session_also_what_waits_for_others():
    prices = {"sonic.create_music": 14, f"sonic.create_music {SONG['mv']}": 12, "sonic.stems_full": 75}
    planned = plan(rows({"key": "song", **SONG}, {**SONG, "mv": "sonic-v4"}, STEMS), prices=prices)
    assert {share.operation: share.credits for share in planned.shares} == {
        "sonic.create_music": 12 + 14,
        "sonic.stems_full": 75,
    }


@pytest.mark.parametrize(
    ("state", "standing", "after"),
    [
        (JobState.SUCCEEDED, Standing.DONE, Standing.NEW),
        (JobState.SUBMITTED, Standing.RUNNING, Standing.NEW),
        (JobState.QUEUED, Standing.NEW, Standing.NEW),
        (JobState.CANCELLED, Standing.NEW, Standing.NEW),
        (JobState.FAILED, Standing.FAILED, Standing.BLOCKED),
        (JobState.UNKNOWN, Standing.UNKNOWN, Standing.BLOCKED),
        (JobState.SENDING, Standing.UNKNOWN, Standing.BLOCKED),
    ],
)
def test_what_the_journal_knows_is_distinguished(state, standing, after):
    song, _ = given = rows({"key": "song", **SONG}, STEMS)
    planned = plan(given, record(song, state))
    assert planned.standings == {"song": standing, "stems": after}
    assert planned.count(standing) >= 1
    assert planned.credits == (10 if standing is Standing.NEW else 0) + (50 if after is Standing.NEW else 0)


def test_what_is_sent_again_costs_again():
    song, _ = given = rows({"key": "song", **SONG}, STEMS)
    planned = plan(given, record(song, JobState.FAILED), resend=[JobState.FAILED])
    assert (planned.standings["song"], planned.credits) == (Standing.NEW, 60)


def test_a_key_that_belongs_to_another_request_is_a_fault_with_what_differs():
    (was,) = rows({"key": "song", **SONG, "title": "Rain"})
    (now,) = rows({"key": "song", **SONG, "title": "Sun", "tags": "pop"})
    (fault,) = plan([now], record(was, JobState.SUCCEEDED)).conflicts
    assert str(fault) == (
        "a.jsonl:1: key: 'song' belongs to another request in the journal: tags was None, is 'pop'; title was 'Rain', "
        "is 'Sun'. Give the changed row a key of its own, or change it back"
    )
    song, stems = given = rows({"key": "song", **SONG}, STEMS)
    assert plan(given, record(song, JobState.SUCCEEDED), record(stems, JobState.SUCCEEDED)).conflicts == ()
    other = attrs.evolve(record(stems, JobState.SUCCEEDED), operation="sonic.stems_basic")
    assert "op was sonic.stems_basic, is sonic.stems_full" in str(plan(given, other).conflicts[0])


@pytest.mark.parametrize(
    ("count", "least", "most"), [(10, 4.0, 6.0), (30, 2.2, 3.0), (100, 2.0, 2.3), (1000, 2.0, 2.2)]
)
def test_the_predicted_requests_are_those_that_were_measured(count, least, most):
    planned = plan(songs(count))
    assert least <= planned.polled.requests / count <= most
    assert planned.with_webhook.requests == count
    assert planned.with_webhook.seconds <= planned.polled.seconds
    assert planned.polled.seconds >= planned.polled.requests * PERIOD * 0.95


def test_rows_that_wait_for_each_other_take_their_time_one_after_the_other():
    together = plan(rows({"key": "song", **SONG}, {"key": "b", **SONG})).polled.seconds
    chained = plan(rows({"key": "song", **SONG}, STEMS)).polled.seconds
    assert chained > together + 40


def test_a_song_that_runs_takes_what_is_left_of_its_time():
    given = songs(1)
    full, late = (forecast(given, {"0": age}, Durations(), PERIOD).seconds for age in (0.0, 60.0))
    assert 0 < late < full - 30
    assert forecast([], {}, Durations(), PERIOD).seconds == 0


@pytest.mark.parametrize(("seconds", "least", "most"), [(4.0, 1.5, 4.0), (0.5, 0.1, 0.6)])
def test_it_learns_from_earlier_runs(seconds, least, most):
    durations = Durations()
    times = {"accepted": 1000.0, "updated": 1000.0 + seconds}  # in a sandbox, sixty times as long for the service
    learn(durations, [record(row, JobState.SUCCEEDED, task_id="t", **times) for row in songs(50)], speed=60)
    assert least < forecast(songs(1), {}, durations, PERIOD).seconds / plan(songs(1)).polled.seconds < most
