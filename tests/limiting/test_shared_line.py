"""The line that processes stand in: its arithmetic, without clock or file."""

import heapq
import itertools

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from aimusic_async.limiting.shared import Line

from .buckets import HOUR, PERIOD, nearest


@define
class World:
    """Real time, the clock of the machine, and what happened; moments are in real time."""

    line: Line = field(factory=lambda: Line(PERIOD))
    now: float = 0.0
    clock_is_ahead: float = 1.7e9
    spends: list = field(factory=list)
    grants: list = field(factory=list)
    waits: list = field(factory=list)
    pauses: list = field(factory=list)

    def look(self):
        """As a transaction begins."""
        self.line.observe(self.clock())
        return self.line

    def clock(self):
        return self.now + self.clock_is_ahead

    def run(self, *processes):
        order = itertools.count()
        heap = [(0.0, next(order), process) for process in processes]
        while heap:
            self.now, _, process = heapq.heappop(heap)
            for sleep in process:
                heapq.heappush(heap, (self.now + sleep, next(order), process))
                break

    def process(self, turns):
        for think, late, manner, hold in turns:
            yield think
            place, taken = None, None
            while taken is None:
                place, answer = self.look().ask(place)
                if place is None:
                    taken = answer
                    self.grants.append(self.now)
                    break
                self.waits.append(answer)
                if manner == "die":
                    return
                if manner == "leave":
                    yield answer * 0.9
                    self.look().leave(place)
                    break
                yield answer + late
            if taken is None:
                continue
            yield hold
            if manner == "give back":
                self.look().put_back(taken, None)
            else:
                said, moment = self.clock(), self.now
                yield late / 10  # until it is written down
                self.look().spent(taken, said)
                self.spends.append(moment)

    def pause(self, after, seconds):
        yield after
        self.look().pause(seconds)
        self.pauses.append((self.now, self.now + seconds))

    def jump(self, after, seconds):
        yield after
        self.clock_is_ahead += seconds


MANNERS = ["spend", "spend", "spend", "give back", "leave", "die"]
THINKS = st.one_of(st.just(0.0), st.floats(0, 20))
LATES = st.one_of(st.just(0.0), st.floats(0, 0.1), st.floats(0, 5))


def processes(manners=MANNERS, holds=st.floats(0, 0.8 * PERIOD)):  # noqa: B008 - strategies are values
    turns = st.tuples(THINKS, LATES, st.sampled_from(manners), holds)
    return st.lists(st.lists(turns, min_size=1, max_size=6), min_size=1, max_size=5)


pauses = st.lists(st.tuples(st.floats(0, 60), st.floats(0, 30)), max_size=2)
jumps = st.lists(st.tuples(st.floats(0, 60), st.floats(-2 * HOUR, -0.1)), max_size=2)


@settings(max_examples=200, deadline=None)
@given(processes=processes(), pauses=pauses, jumps=jumps)
def test_whatever_processes_do_no_two_requests_are_nearer_than_the_period(processes, pauses, jumps):
    world = World()
    world.run(
        *(world.process(turns) for turns in processes),
        *(world.pause(*pause) for pause in pauses),
        *(world.jump(*jump) for jump in jumps),
    )
    assert nearest(world.spends) >= PERIOD - 1e-5
    for start, end in world.pauses:
        assert not [grant for grant in world.grants if start < grant < end - 1e-5]


@settings(max_examples=100, deadline=None)
@given(processes=processes(["spend"], st.floats(0, 10 * PERIOD)))
def test_however_long_tokens_are_held_none_is_granted_within_a_period_of_a_grant_or_of_what_was_spent(processes):
    world = World()
    world.run(*(world.process(turns) for turns in processes))
    assert nearest(world.grants) >= PERIOD - 1e-5
    for grant, spend in itertools.product(world.grants, world.spends):
        # What is written down an instant later cannot be known at once.
        assert grant <= spend + 0.5 or grant - spend >= PERIOD - 1e-5


@settings(max_examples=200, deadline=None)
@given(
    processes=processes(["spend", "give back"]),
    pauses=pauses,
    jumps=st.lists(st.tuples(st.floats(0, 60), st.floats(-2 * HOUR, 2 * HOUR)), max_size=3),
)
def test_a_clock_that_jumps_makes_nobody_wait_for_more_than_those_before_and_the_pauses(processes, pauses, jumps):
    world = World()
    world.run(
        *(world.process(turns) for turns in processes),
        *(world.pause(*pause) for pause in pauses),
        *(world.jump(*jump) for jump in jumps),
    )
    longest_pause = max((seconds for _, seconds in pauses), default=0)
    assert max(world.waits, default=0) <= longest_pause + len(processes) * PERIOD + 1e-5


@settings(max_examples=100, deadline=None)
@given(number=st.integers(1, 6), late=st.floats(0, 0.2), turns=st.integers(1, 8))
def test_busy_processes_waste_nothing_and_take_turns(number, late, turns):
    world = World()
    world.run(*(world.process([(0.0, late, "spend", 0.0)] * turns) for _ in range(number)))
    assert len(world.spends) == number * turns
    assert max(world.spends) <= (number * turns - 1) * (PERIOD + 1.2 * late) + 1e-5


def test_one_that_never_comes_costs_the_others_one_period():
    world = World()
    two_turns = [(0.0, 0.0, "spend", 0.0)] * 2
    world.run(
        world.process(two_turns),
        world.process([(0.0, 0.0, "die", 0.0)]),
        world.process(two_turns),
    )
    assert world.spends == pytest.approx([0, 2 * PERIOD, 3 * PERIOD, 4 * PERIOD])


def test_one_that_comes_too_late_is_the_next_and_not_the_last():
    line = Line(PERIOD)
    line.observe(0.0)
    line.ask(None)
    late, punctual, patient, _ = (line.ask(None)[0] for _ in range(4))
    line.observe(2 * PERIOD)
    assert line.ask(punctual)[0] is None
    line.observe(2.5 * PERIOD)
    assert line.ask(late) == (late, 0.5 * PERIOD)
    line.observe(3 * PERIOD)
    assert line.ask(late)[0] is None
    assert line.ask(patient) == (patient, PERIOD)


def line_with(*places):
    """A line at time 0 whose token was just taken, and for which others wait."""
    line = Line(PERIOD)
    line.observe(0.0)
    _, taken = line.ask(None)
    assert [line.ask(None)[0] for _ in places] == list(places)
    return line, taken


def test_a_place_that_is_left_goes_to_the_next_who_comes_if_it_was_the_last():
    line, _ = line_with(2, 3)
    line.leave(3)
    assert line.ask(None) == (3, 2 * PERIOD)


def test_a_place_that_is_left_with_somebody_behind_it_is_lost_and_nobody_gets_anothers():
    line, _ = line_with(2, 3)
    line.leave(2)
    assert line.ask(None) == (4, 3 * PERIOD)


def test_a_token_that_is_given_back_lets_nobody_overtake_those_of_other_processes_who_sleep():
    line, taken = line_with(2, 3)
    line.put_back(taken, 2)
    assert line.due(2) == PERIOD
    assert line.ask(None) == (4, 3 * PERIOD)


def test_a_place_that_the_line_does_not_know_waits_for_no_more_than_are_there():
    line, _ = line_with(2, 3)
    assert line.ask(57) == (57, 2 * PERIOD)


def test_what_was_spent_before_the_clock_was_set_back_delays_nobody_by_the_jump():
    line, taken = line_with(2)
    line.observe(1.0)
    line.observe(-HOUR)
    line.spent(taken, 1.0)
    assert line.ask(2) == (2, PERIOD)
