"""The soak's short form: after kills and faults, books and journal agree; and it would notice if they did not."""

import asyncio
import os

import pytest

from aimusic_async import JobState
from aimusic_async.journal.record import JobRecord
from aimusic_async.sandbox import Fate, Fault
from aimusic_async.sandbox.books import Request, Taken

from .agreement import compare
from .soak import Plan, main, soak, table

DIED = "the process that sent it ended before the answer came"


@pytest.mark.skipif(os.name != "posix", reason="kill -9")
@pytest.mark.timeout(90)  # a machine may be slow at starting processes
@pytest.mark.parametrize("faults", [0.0, 0.2])
async def test_nothing_is_lost_or_paid_twice_whoever_is_killed(tmp_path, faults):
    plan = Plan(songs=24, faults=faults, kills=5, pause=(0.1, 0.5), seed=16, speed=300, patience=60)
    report = await soak(plan, tmp_path, lambda _: None)
    told = table(plan, report)
    assert report.agreement.disagreements == [], told
    assert report.kills >= 3, told
    assert report.in_flight >= 1, told
    assert sum(report.agreement.states.values()) == 24
    assert report.agreement.states[JobState.SUCCEEDED] > 24 / 3, told
    if not faults:
        assert report.agreement.states[JobState.UNKNOWN] <= report.kills, told


def test_it_explains_itself(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "--seed" in capsys.readouterr().out


def test_the_exit_code_tells_that_something_is_wrong(capsys, monkeypatch):
    async def nobody_can_start(*_command, **_files):
        return await asyncio.create_subprocess_shell("exit 3")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", nobody_can_start)
    assert main(["--songs", "2", "--seed", "5"]) == 1
    told = capsys.readouterr().out
    assert "seed 5" in told
    assert "WRONG: workers ended with [3" in told
    assert "song-00000: is not in the journal" in told


# --- what it compares ------------------------------------------------------------------------------------------------


def kept(**more):
    usual = {"id": "1", "account": "a", "group": "album", "key": "one", "operation": "sonic.create_music"}
    done = {"state": JobState.SUCCEEDED, "task_id": "t1", "credits": 10, "attempts": 1}
    return JobRecord(**usual | done | more)


def bought(**more):
    usual = {"operation": "sonic.create_music", "key": "k", "body": {"title": "one"}, "credits": 10, "at": 5.0}
    return Taken(**usual | {"task_id": "t1"} | more)


def post(fault=None):
    return Request(method="POST", path="/", operation="sonic.create_music", at=5.0, fault=fault)


IN_DOUBT = {"state": JobState.UNKNOWN, "task_id": None, "credits": 0}
QUEUED = IN_DOUBT | {"state": JobState.QUEUED}
LOST = {"fault": Fault.dropped(taken=True)}
FAILED = {"fate": Fate.fails(), "refunded": 10}

AGREE = [
    # the journal's record, the books' entry, the request, when somebody was killed
    (kept(), bought(), post(), []),
    (kept(state=JobState.FAILED, credits=0), bought(**FAILED), post(), []),
    (kept(state=JobState.SUBMITTED), bought(fate=Fate.hangs()), post(), []),
    (kept(**IN_DOUBT, error=DIED), bought(), post(), [5.1]),
    (kept(**IN_DOUBT, error=DIED), None, None, [5.1]),
    (kept(**IN_DOUBT, error=DIED), None, post(Fault.stalled()), [5.1]),
    (kept(**IN_DOUBT, error="dropped"), bought(**LOST), post(Fault.dropped(taken=True)), []),
    (kept(**IN_DOUBT, error="dropped"), None, post(Fault.dropped()), []),
]


@pytest.mark.parametrize(("record", "entry", "request_", "kills"), AGREE)
def test_what_fits_is_no_disagreement(record, entry, request_, kills):
    found = compare(["one"], [record], [entry] if entry else [], [request_] if request_ else [], kills)
    assert found.disagreements == []
    assert found.states == {record.state: 1}


DISAGREE = [
    ("taken 2 times", [kept()], [bought(), bought(task_id="t2")], [post()], []),
    ("taken 2 times", [kept(**QUEUED)], [bought(), bought(task_id="t2")], [post()], []),
    ("is not in the journal", [], [bought()], [], []),
    ("is not in the journal", [], [], [], []),
    ("was paid, and would be sent again", [kept(**QUEUED)], [bought()], [post()], []),
    ("was paid, and would be sent again", [kept(**QUEUED | {"state": JobState.SENDING})], [bought()], [post()], []),
    ("was never sent", [kept(**QUEUED)], [], [], []),
    ("the service never had it", [kept()], [], [], []),
    ("has the wrong task id", [kept(task_id="t2")], [bought()], [post()], []),
    ("has the wrong task id", [kept(task_id=None)], [bought()], [post()], []),
    ("cost something else", [kept(credits=0)], [bought()], [post()], []),
    ("cost something else", [kept(state=JobState.FAILED)], [bought(**FAILED)], [post()], []),
    ("does not know", [kept(state=JobState.SUBMITTED)], [bought()], [post()], []),
    ("ended otherwise", [kept(state=JobState.FAILED)], [bought()], [post()], []),
    ("ended otherwise", [kept(credits=0)], [bought(**FAILED)], [post()], []),
    ("the service's answer is there", [kept(**IN_DOUBT | {"task_id": "t1"})], [bought(**LOST)], [post()], []),
    ("nobody was killed near it", [kept(**IN_DOUBT, error=DIED)], [bought()], [post()], [60.0]),
    ("its answer was sent", [kept(**IN_DOUBT, error="dropped")], [bought()], [post()], [5.1]),
    ("at most 0 can be", [kept(**IN_DOUBT, error=DIED)], [], [], []),
    ("at most 0 can be", [kept(**IN_DOUBT, error="dropped")], [], [post()], [5.1]),
    ("only 1 were written down", [kept()], [bought()], [post(), post()], []),
    ("nobody ordered it", [kept()], [bought(), bought(body={"title": "two"})], [post()], []),
    ("nobody ordered it", [kept(), kept(key="two")], [bought()], [post()], []),
]


@pytest.mark.parametrize(("why", "records", "entries", "requests", "kills"), DISAGREE)
def test_what_does_not_fit_is_told(why, records, entries, requests, kills):
    (told,) = compare(["one"], records, entries, requests, kills).disagreements
    assert why in told
