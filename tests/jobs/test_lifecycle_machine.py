"""Processes with works for the same keys, one journal, one service: the laws hold whatever happens, in any order."""

import random
from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from aimusic_async.events import JobState
from aimusic_async.jobs.work import Where
from aimusic_async.journal import steps
from aimusic_async.journal.record import OPEN, group_scope

from .lives import ACCOUNT
from .processes import COST, GROUP, LIMIT, World, pick


class Machine(World, RuleBasedStateMachine):
    """The same for Hypothesis: what may happen, and the laws."""

    def __init__(self):
        RuleBasedStateMachine.__init__(self)
        World.__init__(self)

    @rule(data=st.data())
    def it_goes_on(self, data):
        """The usual next things happen to the jobs."""
        for _ in range(pick(data, [1, 2, 4])):
            able = [process for process in self.processes if not process.cut]
            usual = {
                self.store_what_waits: any(process.queue for process in able),
                self.the_journal_s_word_arrives: any(process.outcomes for process in self.processes),
                self.a_token_is_granted: any(process.tokens for process in self.processes),
                self.its_token_is_gone: any(process.stale for process in self.processes),
                self.a_post_departs: any(not post.departed for process in self.processes for post in process.posts),
                self.a_post_is_over: any(process.posts for process in self.processes),
                self.a_task_is_polled: any(self.tells(work) for process in self.processes for work in process.watched),
            }
            self.one_of(data, usual)

    @rule(data=st.data())
    def something_else_happens(self, data):
        able = [process for process in self.processes if not process.cut]
        few = sum(len(process.works) for process in self.processes) < 4
        unusual = {
            self.submit: few,
            self.give_up: any(process.works for process in self.processes) and pick(data, [False, False, True]),
            self.no_webhook_came_in_time: any(process.waiting for process in self.processes),
            self.store_one: any(process.queue for process in able),
            self.listen: bool(able),
            self.the_link_to_the_journal_is_cut_or_works_again: True,
            self.time_passes: True,
            self.a_token_grows_stale: any(process.grants for process in self.processes),
            self.a_task_ends: bool(self.tasks),
            self.a_webhook_reports: bool(self.tasks),
            self.a_process_dies: self.born < 4 and pick(data, [False, False, True]),
            self.somebody_looks_and_settles: bool(self.journal._records),
        }
        self.one_of(data, unusual)

    def one_of(self, data, actions):
        if able := {action.__name__: action for action, possible in actions.items() if possible}:
            self.done.append(name := pick(data, sorted(able)))
            able[name](data)

    # --- the laws ----------------------------------------------------------------------------------------------------

    @invariant()
    def no_key_is_paid_twice_without_a_decision(self):
        for key, times in self.paid.items():
            assert times <= 1 + self.decisions[key], (key, times)

    @invariant()
    def no_id_is_lost(self):
        known = {id_ for record in self.journal._records.values() for id_ in {record.task_id, *record.former_ids}}
        known |= {step.task_id for process in self.processes for _, step in process.queue if hasattr(step, "task_id")}
        for process in self.processes:
            for work in process.works:
                assert {None, work.task_id, *work.former} <= known | {None} | self.lost, work.key

    @invariant()
    def the_named_group_s_budget_holds_and_its_ledger_is_the_sum_of_its_jobs(self):
        records = list(self.journal._records.values())
        ledger = self.journal._ledgers.get((ACCOUNT, group_scope(GROUP)))
        if ledger is None:
            assert not sum(record.committed for record in records)
            return
        assert (ledger.spent, ledger.at_risk) == (
            sum(record.credits for record in records),
            sum(record.at_risk for record in records),
        )
        extra = sum(self.decisions.values()) * COST
        assert ledger.spent + ledger.at_risk <= LIMIT + extra

    @invariant()
    def the_account_never_pays_more_than_the_budget(self):
        charged = sum(COST for _, _, _, state in self.tasks.values() if state != "failed")
        assert charged <= LIMIT + sum(self.decisions.values()) * COST

    @invariant()
    def a_session_s_own_budget_is_the_sum_of_its_jobs(self):
        for process in self.processes:
            assert process.budget.committed == sum(work.committed for work in process.all)

    @invariant()
    def an_attempt_is_sent_once(self):
        names = Counter(
            (process.name, post.work.key, post.attempt) for process in self.processes for post in process.posts
        )
        assert set(names.values()) <= {1}

    @invariant()
    def every_open_job_has_somebody_who_goes_on_with_it(self):
        for process in self.processes:
            asked = [work for work, step in process.queue if isinstance(step, steps.Enter | steps.Begin)]
            asked += [work for work, *_ in process.outcomes]
            for work in process.works:
                lines = (process.tokens, process.stale, process.watched, process.waiting, asked)
                held = any(work in line for line in lines) or any(post.work is work for post in process.posts)
                assert held or work.where is Where.ELSEWHERE, (process.name, work.key, work.state, work.where)
                watched = work in process.watched or work in asked or work.where is Where.ELSEWHERE
                assert work.state is not JobState.SUBMITTED or watched, (process.name, work.key)

    @invariant()
    def what_was_given_up_in_mid_post_ends_with_it_and_what_the_service_has_waits_for_no_token(self):
        for process in self.processes:
            out = [post.work for post in process.posts] + process.stale
            for work in process.works:
                assert work.ending is None or work in out, (process.name, work.key)
                known = work.task_id is not None and work.where is Where.HERE
                assert not known or work.state is JobState.SUBMITTED, (process.name, work.key, work.state)

    @invariant()
    def what_is_ours_in_the_journal_somebody_here_works_on(self):
        for record in self.journal._records.values():
            for process in self.processes:
                if record.owner == process.name and record.state in OPEN and not process.queue and not process.outcomes:
                    assert [work for work in process.works if work.key == record.key], (process.name, record)


LAWS = [law for law in vars(Machine).values() if hasattr(law, "hypothesis_stateful_invariant")]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.timeout(60)
def test_long_lives_keep_the_laws(seed):
    """What Hypothesis finds it can shorten; chance alone goes deeper."""
    for number in range(100):
        dice, machine = random.Random(f"{seed} {number}"), Machine()
        try:
            for _ in range(150):
                dice.choice([machine.it_goes_on, machine.it_goes_on, machine.something_else_happens])(dice)
                for law in LAWS:
                    law(machine)
        except AssertionError as error:
            error.add_note(f"life {number}: {', '.join(machine.done)}")
            raise


TestLives = Machine.TestCase
TestLives.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)
TestLives = pytest.mark.timeout(60)(TestLives)
