"""Ledgers and budgets: what is left, what is refused, and in which words."""

import pytest

from aimusic_async.errors import ConfigurationError
from aimusic_async.events import JobState
from aimusic_async.journal.budget import OVER_BUDGET, Budget, Ledger, check_limit, refusal

from .places import record

RISKY = (JobState.SENDING, JobState.UNKNOWN)


def test_a_new_ledger_has_committed_nothing():
    assert Ledger() == Ledger(limit=None, spent=0, at_risk=0)
    assert Ledger().left(7) == 7


@pytest.mark.parametrize(
    ("spent", "at_risk", "limit", "left"),
    [(0, 0, 0, 0), (3, 4, 10, 3), (3, 7, 10, 0), (0, 10, 9, 0), (12, 0, 10, 0), (-5, 0, 10, 15)],
)
def test_what_is_left_of_a_limit_is_never_less_than_nothing(spent, at_risk, limit, left):
    assert Ledger(limit=99, spent=spent, at_risk=at_risk).left(limit) == left


@pytest.mark.parametrize("state", [state for state in JobState if state is not JobState.DETACHED])
def test_a_job_moves_its_ledger_by_what_it_has_charged_and_by_what_it_may_have(state):
    ledger, job = Ledger(50, 20, 10), record(state=state, credits=3, cost=10)
    at_risk = 10 if state in RISKY else 0
    assert ledger.moved(None, job) == Ledger(50, 23, 10 + at_risk)
    assert ledger.moved(job, None) == Ledger(50, 17, 10 - at_risk)
    assert ledger.moved(job, job) == ledger
    assert ledger.moved(None, None) == ledger


def test_a_job_that_is_taken_moves_its_credits_from_risk_to_spent_and_a_refund_gives_them_back():
    sending, taken = record(state=JobState.SENDING), record(state=JobState.SUBMITTED, credits=10)
    refunded = record(state=JobState.FAILED, credits=0)
    ledger = Ledger(limit=25).moved(record(), sending)
    assert ledger == Ledger(25, 0, 10)
    ledger = ledger.moved(sending, taken)
    assert ledger == Ledger(25, 10, 0)
    assert ledger.moved(taken, refunded) == Ledger(25, 0, 0)


def test_a_refusal_says_what_the_job_costs_and_what_is_left():
    assert refusal(10, 3, 25) == "would exceed the budget: it costs 10 credits, 3 of 25 are left"
    assert refusal(10, 3, 25).startswith(OVER_BUDGET)


def test_a_budget_refuses_what_is_more_than_is_left_and_nothing_else():
    budget = Budget(25)
    assert (budget.limit, budget.committed) == (25, 0)
    assert budget.refuses(25) is None
    assert budget.refuses(26) == "would exceed the budget: it costs 26 credits, 25 of 25 are left"
    budget.committed = 20
    assert budget.refuses(5) is None
    assert budget.refuses(6) == "would exceed the budget: it costs 6 credits, 5 of 25 are left"
    budget.committed = 30
    assert budget.refuses(1) == "would exceed the budget: it costs 1 credits, 0 of 25 are left"
    assert budget.refuses(0) is None


@pytest.mark.parametrize("limit", [0, 1, 10**9])
def test_a_budget_is_any_whole_number_of_credits(limit):
    assert check_limit(limit) == limit
    assert Budget(limit).limit == limit


@pytest.mark.parametrize("limit", [-1, 1.0, 2.5, "10", True, False, None])
def test_what_is_no_budget_is_refused(limit):
    for make in (check_limit, Budget):
        with pytest.raises(ConfigurationError) as caught:
            make(limit)
        assert str(caught.value) == f"budget must be a whole number of credits, 0 or more; got {limit!r}"


def test_budgets_are_told_apart_however_equal_they_are():
    assert Budget(5) != Budget(5)
    assert len({Budget(5), Budget(5)}) == 2
