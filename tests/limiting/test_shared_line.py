"""The line that processes stand in: its arithmetic, without clock or file."""

import heapq
import itertools

import attrs
import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from aimusic_async.limiting.line import Line, Plan

from .buckets import HOUR, PERIOD, assert_within, nearest


@define
class World:
    """Real time, the clock of the machine, and what happened; moments are in real time."""

    capacity: int = 1
    dies_seen: bool = True
    line: Line = field(factory=Line.new)
    dead: set = field(factory=set)
    now: float = 0.0
    clock_is_ahead: float = 1.7e9
    spends: list = field(factory=list)
    grants: list = field(factory=list)
    waits: list = field(factory=list)
    names: itertools.count = field(factory=itertools.count)
    pauses: list = field(factory=list)

    def look(self, name="somebody"):
        """As a transaction begins: the line is read from the file."""
        self.line = Line.from_text(self.line.to_text())
        self.line.observe(self.clock())
        self.line.join(name, Plan(1 / PERIOD, PERIOD, self.capacity), self.is_dead)
        return self.line

    def is_dead(self, name):
        return self.dies_seen and name in self.dead

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
        name = f"process {next(self.names)}"
        for think, late, manner, hold in turns:
            yield think
            taken = None
            while taken is None:
                taken, answer = self.look(name).ask(name, self.is_dead)
                if taken is not None:
                    self.grants.append(self.now)
                    break
                self.waits.append(answer)
                if manner == "die":
                    self.dead.add(name)
                    return
                if manner == "leave":
                    yield answer * 0.9
                    self.look(name).leave(name)
                    break
                yield answer + late
            if taken is None:
                continue
            yield hold
            if manner == "give back":
                self.look(name).put_back(taken, name)
            else:
                said, moment = self.clock(), self.now
                yield min(late / 10, HEARD)  # until it is written down
                self.look(name).spent(taken, said)
                self.spends.append(moment)

    def pause(self, after, seconds):
        yield after
        self.look().pause(seconds)
        self.pauses.append((self.now, self.now + seconds))

    def jump(self, after, seconds):
        yield after
        self.clock_is_ahead += seconds


HEARD = 0.09
HEARD_WITHIN = -0.1

MANNERS = ["spend", "spend", "spend", "give back", "leave", "die"]
THINKS = st.one_of(st.just(0.0), st.floats(0, 20))
LATES = st.one_of(st.just(0.0), st.floats(0, 0.1), st.floats(0, 5))


def processes(manners=MANNERS, holds=st.floats(0, 0.8 * PERIOD)):  # noqa: B008 - strategies are values
    turns = st.tuples(THINKS, LATES, st.sampled_from(manners), holds)
    return st.lists(st.lists(turns, min_size=1, max_size=6), min_size=1, max_size=5)


pauses = st.lists(st.tuples(st.floats(0, 60), st.floats(0, 30)), max_size=2)
jumps = st.lists(st.tuples(st.floats(0, 60), st.floats(-2 * HOUR, -0.1)), max_size=2)


@settings(max_examples=200, deadline=None)
@given(capacity=st.integers(1, 4), dies_seen=st.booleans(), processes=processes(), pauses=pauses, jumps=jumps)
def test_whatever_processes_do_no_window_sees_more_requests_than_the_limit(
    capacity, dies_seen, processes, pauses, jumps
):
    world = World(capacity, dies_seen)
    world.run(
        *(world.process(turns) for turns in processes),
        *(world.pause(*pause) for pause in pauses),
        *(world.jump(*jump) for jump in jumps),
    )
    assert_within(world.spends, PERIOD, capacity)
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
    assert max(world.waits, default=0) <= longest_pause + len(processes) * PERIOD + HEARD + 0.011


@settings(max_examples=100, deadline=None)
@given(capacity=st.integers(1, 4), number=st.integers(1, 6), late=st.floats(0, 0.2), turns=st.integers(1, 8))
def test_busy_processes_waste_nothing_and_take_turns(capacity, number, late, turns):
    world = World(capacity)
    world.run(*(world.process([(0.0, late, "spend", 0.0)] * turns) for _ in range(number)))
    assert len(world.spends) == number * turns
    assert max(world.spends) <= max(number * turns - capacity, 0) * (PERIOD + 1.2 * late) + 0.1 + 1e-5


def nobody(_):
    return False


def members(capacity=1, *, dead=nobody, names="abcde"):
    """An empty line at time 0 with some members."""
    line = Line.new()
    line.observe(0.0)
    for name in names:
        line.join(name, Plan(1 / PERIOD, PERIOD, capacity), dead)
    return line


def ask(line, name, at, dead=nobody):
    """Ask; return the number of a token, or the negative seconds to wait."""
    line.observe(at)
    number, wait = line.ask(name, dead)
    return number if number is not None else -wait


def waiting(*names, capacity=1):
    """A line at time 0 whose token was just taken, and for which others wait."""
    line = members(capacity)
    taken = ask(line, "a", 0.0)
    for name in names:
        assert ask(line, name, 0.0) < 0
    return line, taken


@pytest.mark.parametrize("known", [True, False])
def test_one_that_dies_costs_the_others_nothing_and_one_that_merely_does_not_come_one_period(known):
    world = World(dies_seen=known)
    two_turns = [(0.0, 0.0, "spend", 0.0)] * 2
    world.run(world.process(two_turns), world.process([(0.0, 0.0, "die", 0.0)]), world.process(two_turns))
    first = PERIOD if known else 2 * PERIOD
    assert world.spends == pytest.approx([0, first, first + PERIOD, first + 2 * PERIOD])


def test_however_many_died_nobody_who_sleeps_behind_them_sleeps_for_longer_than_a_period_more():
    line, taken = waiting("b", "c", "d")
    line.spent(taken, 0.0)
    assert ask(line, "e", 0.0) == -PERIOD  # and not four
    dead = {"b", "c", "d"}.__contains__
    assert ask(line, "e", PERIOD, dead) > 0


def test_who_died_is_no_member_any_more_for_those_who_join_later():
    line = members()
    line.join("f", Plan(1 / PERIOD, PERIOD), {"a", "b"}.__contains__)
    assert set(line.members) == {"c", "d", "e", "f"}
    line.join("f", Plan(1 / PERIOD, PERIOD), {"c"}.__contains__)  # who is one asks nobody
    assert set(line.members) == {"c", "d", "e", "f"}


def test_who_was_not_heard_of_for_hours_is_no_member_any_more_wherever_it_died():
    line, fast, slow = Line.new(), Plan(1.0, 1.0, 1), Plan(0.2, 5.0, 1)
    line.observe(0.0)
    line.join("slow", slow, nobody)
    line.ask("slow", nobody)
    line.ask("slow", nobody)
    line.observe(1.9 * HOUR)
    assert line.join("fast", fast, nobody) == slow
    line.observe(-HOUR)  # the clock was set back
    line.observe(-0.95 * HOUR)
    assert line.join("fast", fast, nobody) == slow
    line.observe(-0.85 * HOUR)
    assert line.join("fast", Plan(1.0, 1.0, 1), nobody) is None
    assert set(line.members) == {"fast"}
    assert "slow" not in line.places
    assert line.join("other", attrs.evolve(fast), nobody) is None


def test_one_that_comes_too_late_is_the_next_and_not_the_last():
    line, taken = waiting("b", "c", "d")
    line.spent(taken, 0.0)
    taken = ask(line, "c", 2 * PERIOD)
    assert taken > 0
    line.spent(taken, 2 * PERIOD)
    assert ask(line, "b", 2.5 * PERIOD) == pytest.approx(-0.5 * PERIOD)
    taken = ask(line, "b", 3 * PERIOD)
    line.spent(taken, 3 * PERIOD)
    assert ask(line, "d", 3 * PERIOD) == pytest.approx(-PERIOD)


def test_a_place_that_is_left_is_nobodys_and_who_stands_behind_comes_earlier():
    line, taken = waiting("b", "c")
    line.spent(taken, 0.0)
    line.leave("b")
    assert ask(line, "c", PERIOD) > 0
    line.leave("b")  # twice is once


def test_who_parts_gives_up_place_and_limit():
    line, taken = waiting("b", "c")
    line.spent(taken, 0.0)
    line.part("b")
    assert "b" not in line.members
    assert ask(line, "c", PERIOD) > 0


def test_a_token_that_is_given_back_lets_nobody_overtake_those_of_other_processes_who_sleep():
    line, taken = waiting("b", "c")
    line.put_back(taken, "a")
    assert ask(line, "a", 0.0) == -PERIOD
    assert ask(line, "b", PERIOD) > 0


def test_a_token_that_is_given_back_is_there_again_when_nobody_else_waits():
    line, taken = waiting()
    line.put_back(taken, "a")
    taken = ask(line, "b", 0.0)
    assert taken > 0
    assert ask(line, "b", 0.0) < 0
    line.put_back(taken, "b")  # whose own place keeps nobody waiting
    assert ask(line, "b", 0.0) > 0


def test_who_was_passed_over_keeps_no_token_from_being_given_back():
    line, taken = waiting("b", "c")
    line.spent(taken, 0.0)
    taken = ask(line, "c", 2 * PERIOD)
    line.put_back(taken, "c")
    assert ask(line, "c", 2 * PERIOD) > 0


def test_several_tokens_go_to_those_who_wait_in_their_order_and_what_is_in_flight_keeps_its_place():
    line = members(capacity=3)
    first = [ask(line, name, 0.0) for name in "abc"]
    assert min(first) > 0
    assert ask(line, "d", 0.0) == pytest.approx(-PERIOD)
    assert ask(line, "d", 0.5 * PERIOD) < 0  # none has departed
    line.spent(first[0], 0.5 * PERIOD)
    assert ask(line, "d", 0.6 * PERIOD) == pytest.approx(HEARD_WITHIN - 0.4 * PERIOD)  # when the others are too old
    assert ask(line, "d", 1.4 * PERIOD) == pytest.approx(-0.1 * PERIOD)
    assert ask(line, "d", 1.5 * PERIOD) > 0


def test_what_was_spent_before_the_clock_was_set_back_delays_nobody_by_the_jump():
    line, taken = waiting("b")
    line.observe(1.0)
    line.observe(-HOUR)
    line.spent(taken, 1.0)
    assert ask(line, "b", -HOUR) == -PERIOD


def test_a_token_of_which_nothing_is_heard_counts_from_when_it_was_granted():
    line, taken = waiting("b")
    line.observe(1.0)
    line.drop(taken)
    line.drop(taken)
    assert ask(line, "b", 1.0) == pytest.approx(1.0 - PERIOD)


def test_where_limits_differ_the_slower_rate_and_the_smaller_capacity_count_until_that_member_has_gone():
    line = Line.new()
    line.observe(0.0)
    fast, slow = Plan(1.0, 1.0, 1), Plan(0.2, 5.0, 2)
    assert line.join("a", fast, nobody) is None
    assert line.join("b", slow, nobody) == fast
    assert line.join("a", fast, nobody) == slow
    assert (line.level.period, line.level.capacity) == (5.0, 1)
    line.part("b")
    assert line.join("a", fast, nobody) is None
    assert (line.level.period, line.level.capacity) == (1.0, 1)
    line.join("b", slow, nobody)
    assert line.join("a", fast, {"b"}.__contains__) is None  # it was killed
    assert (line.level.period, line.level.capacity) == (1.0, 1)
    assert str(slow) == "0.2 requests per second, 2 at once"
    assert str(Plan(1 / 3, 3.06)) == "0.3333 requests per second"


def test_what_is_written_down_is_all_that_it_is():
    line, taken = waiting("b", "c", capacity=1)
    line.pause(0.5)
    line.spent(taken, 0.0)
    taken = ask(line, "b", PERIOD)
    again = Line.from_text(line.to_text())
    again.join("e", Plan(1 / PERIOD, PERIOD), nobody)
    assert attrs.evolve(again.level, numbers=line.level.numbers) == line.level
    assert (again.places, again.members) == (line.places, line.members)
    assert again.heard == line.heard | {"e": line.seen}
    assert (again.served, again.last, again.seen) == (line.served, line.last, line.seen)
    again.put_back(taken, "b")
    assert ask(again, "c", 2 * PERIOD) not in (0, taken)
