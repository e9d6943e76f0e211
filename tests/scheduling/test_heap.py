"""The heap: an order that taking things out does not disturb, and that keeps nothing alive."""

import gc
import itertools
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aimusic_async.scheduling.heap import Heap

FOREVER = float("inf")


class Thing:
    """Something that can be seen to be let go of."""


@given(
    steps=st.lists(st.tuples(st.sampled_from(["push", "discard", "pop", "look"]), st.integers(0, 400)), max_size=400)
)
def test_it_is_a_sorted_list_whatever_is_taken_out(steps):
    heap, model, places = Heap(), {}, itertools.count()
    for step, number in steps:
        if step == "push":
            place = next(places)
            heap.push(number, place, f"job {place}")
            model[place] = number
        elif step == "discard" and model:
            place = sorted(model)[number % len(model)]
            heap.discard(place)
            del model[place]
        elif step == "pop" and model:
            rank, place = min((rank, place) for place, rank in model.items())
            assert heap.pop(rank - 1) is None
            assert heap.pop(rank) == f"job {place}"
            del model[place]
        first = min(((rank, place) for place, rank in model.items()), default=None)
        assert heap.first() == first
        assert heap.top() == (f"job {first[1]}" if first else None)
        assert len(heap) == len(model)
        assert all(heap.at(place) == f"job {place}" for place in model)


@given(count=st.integers(200, 600), kept=st.integers(0, 60), order=st.randoms(use_true_random=False))
def test_most_of_it_taken_out_leaves_the_rest_in_order(count, kept, order):
    heap = Heap()
    ranks = {place: order.random() for place in range(count)}
    for place, rank in ranks.items():
        heap.push(rank, place, place)
    gone = order.sample(range(count), count - kept)
    for number, place in enumerate(gone):
        heap.discard(place)
        if number % 50 == 0:  # what comes meanwhile finds its place, too
            ranks[count + number] = order.random()
            heap.push(ranks[count + number], count + number, count + number)
    left = sorted((rank, place) for place, rank in ranks.items() if place not in set(gone))
    assert [heap.pop(FOREVER) for _ in left] == [place for _, place in left]
    assert heap.first() is None
    assert heap.pop(FOREVER) is None


def test_what_is_taken_out_is_let_go_of_at_once():
    heap, last = Heap(), Thing()
    heap.push(-1.0, 0, last)
    things = [Thing() for _ in range(100)]
    for place, thing in enumerate(things, 1):
        heap.push(0.0, place, thing)
    seen = [weakref.ref(thing) for thing in things]
    del things, thing
    for place in range(1, 101):
        heap.discard(place)
    gc.collect()
    assert [one() for one in seen] == [None] * 100
    assert heap.top() is last


def test_taking_out_what_is_not_there_changes_nothing():
    heap = Heap()
    heap.push(1.0, 1, "job")
    heap.discard(7)
    heap.discard(-1)
    assert heap.pop(1.0) == "job"
    heap.discard(1)
    assert len(heap) == 0


@pytest.mark.parametrize("order", [1, -1])
def test_entries_of_what_has_gone_do_not_pile_up(order):
    """Whoever comes and goes behind one that stays costs no memory in the end: also the entries are cleared away."""
    heap = Heap()
    heap.push(-order * FOREVER, 0, "stays")
    heap.push(order * FOREVER, 1, "stays, too")
    for place in range(2, 20_000):
        heap.push(order * place, place, "job")
        heap.discard(place)
    assert sum(map(len, vars(heap).values())) < 300
