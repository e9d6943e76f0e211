"""Some of the random worlds: nothing hangs, is lost or paid twice, whoever is killed and whatever fails."""

import pytest

from .reckoning import too_fast
from .service import Arrival
from .virtual import Process
from .voyages import live, main

WORLDS, AT_ONCE = 200, 10


@pytest.mark.timeout(60)
@pytest.mark.parametrize("first", range(0, WORLDS, AT_ONCE))
def test_books_journal_and_jobs_agree_in_the_end(first):
    lived = [live(seed) for seed in range(first, first + AT_ONCE)]
    wrong = {one.seed: one.faults for one in lived if one.faults}
    assert not wrong, f"see it again: python -m tests.faults.voyages --first {min(wrong)} --trace\n{wrong}"


def test_a_seed_is_the_same_world_each_time():
    assert live(3).digest == live(3).digest


def test_the_worlds_are_rough():
    counts = sum((live(seed).counts for seed in range(20)), start=live(20).counts)
    assert {"kills", "cuts", "pauses", "cancels", "unknown", "looked up", "webhooks acknowledged"} <= counts.keys()


def arrivals(*times):
    process = Process("p")
    return [Arrival(at, "POST", process) for at in times]


@pytest.mark.parametrize(
    ("times", "capacity", "wrong"),
    [
        ((0, 3, 6), 1, 0),
        ((0, 2.9, 6), 1, 1),
        ((0, 0, 3), 2, 0),
        ((0, 0, 2), 2, 1),
        ((0, 0, 6, 6, 9), 2, 0),
    ],
)
def test_what_comes_too_fast_is_noticed(times, capacity, wrong):
    assert len(too_fast(arrivals(*times), 1 / 3, capacity)) == wrong


def test_it_explains_itself(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "--seeds" in capsys.readouterr().out
