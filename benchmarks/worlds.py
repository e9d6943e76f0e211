"""How the schedule fares in worlds that differ from its guess, beside what people write today.

Pure: the schedule alone against a simulated service and limiter, without HTTP, so that hundreds of runs take seconds.
All ways get the same tokens. A song that never finishes is given up after an hour, and counts for nothing.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import statistics
from collections import deque
from collections.abc import Callable

import attrs
from rich.console import Group
from rich.table import Table

from aimusic_async.scheduling.durations import TaskKind
from aimusic_async.scheduling.schedule import Kind, Schedule

GUESS = 75.0
"""Seconds: what the documentation says of a song."""
MEDIAN, SIGMA = 90.0, 0.35
PERIOD = 3.06
INTERVAL = 15.0
STUCK_AFTER = 3600.0
NEVER = math.inf
EVERY = 20.0
"""Seconds between the polls that people write today."""


@attrs.frozen
class Song:
    """One song: when it is asked for, how long the service takes, and of which kind it is."""

    arrival: float
    duration: float
    kind: TaskKind = TaskKind("song", GUESS)


@attrs.frozen
class World:
    """What the service is like: the songs, seconds between tokens, and seconds that a POST takes."""

    songs: list[Song]
    period: float = PERIOD
    post: float = 0.5


Way = Callable[[World], list[float]]
"""Plays a world; returns when each song was there, `NEVER` for one that never finishes."""


# --- the worlds ------------------------------------------------------------------------------------------------------


def _usual(dice: random.Random, median: float = MEDIAN, sigma: float = SIGMA) -> float:
    return dice.lognormvariate(math.log(median), sigma)


def standard(count: int, *, guess: float = GUESS, **more: float) -> Callable[[random.Random], World]:
    """All asked for at once, log-normal; `guess`: what the documentation says."""
    kind = TaskKind("song", guess)
    return lambda dice: World([Song(0.0, _usual(dice), kind) for _ in range(count)], **more)


def bimodal(dice: random.Random) -> World:
    """Half of the songs take four times as long as the others."""
    return World([Song(0.0, _usual(dice, dice.choice([45.0, 180.0]), 0.2)) for _ in range(100)])


def heavy_tail(dice: random.Random) -> World:
    """A Pareto distribution: most are quick, some take very long."""
    return World([Song(0.0, min(50.0 * dice.paretovariate(1.5), 2500.0)) for _ in range(100)])


def ten_kinds(dice: random.Random) -> World:
    """Ten kinds from 20 to 300 seconds, of which the documentation knows no more than the order of magnitude."""
    medians = [20.0 * 15.0 ** (number / 9) for number in range(10)]
    kinds = [TaskKind(f"kind {number}", _usual(dice, median, 0.5)) for number, median in enumerate(medians)]
    return World([Song(0.0, _usual(dice, medians[n % 10]), kinds[n % 10]) for n in range(100)])


def drift(dice: random.Random) -> World:
    """The service gets slower: the last songs take four times as long as the first."""
    return World([Song(0.0, _usual(dice, 60.0 * 4.0 ** (number / 299))) for number in range(300)])


def bursts(dice: random.Random) -> World:
    """Thirty songs, five times, five minutes apart."""
    return World([Song(300.0 * burst, _usual(dice)) for burst in range(5) for _ in range(30)])


def hanging(dice: random.Random) -> World:
    """One song in twenty never finishes."""
    return World([Song(0.0, NEVER if dice.random() < 0.05 else _usual(dice)) for _ in range(100)])


WORLDS: dict[str, Callable[[random.Random], World]] = {
    "standard, 10 songs": standard(10),
    "standard, 30 songs": standard(30),
    "standard, 100 songs": standard(100),
    "standard, 300 songs": standard(300),
    "bimodal, 100 songs": bimodal,
    "heavy tail, 100 songs": heavy_tail,
    "ten kinds, 100 songs": ten_kinds,
    "the guess is a quarter of the truth": standard(100, guess=MEDIAN / 4),
    "the guess is three times the truth": standard(100, guess=MEDIAN * 3),
    "drift, 300 songs": drift,
    "bursts, 150 songs": bursts,
    "5 % never finish, 100 songs": hanging,
    "a POST takes 30 s, 100 songs": standard(100, post=30.0),
    "1 request/s, 300 songs": standard(300, period=1.02),
    "10 requests/s, 1,000 songs": standard(1000, period=0.102),
    "50 requests/s, 1,000 songs": standard(1000, period=0.0204),
}


# --- the ways --------------------------------------------------------------------------------------------------------


def ours(world: World) -> list[float]:
    """Play it with the schedule: a token is bound when it comes."""
    songs, schedule = world.songs, Schedule[int]()
    ends, accepted = [NEVER] * len(songs), [0.0] * len(songs)
    left = sum(song.duration < NEVER for song in songs)
    coming: list[tuple[float, int, bool]] = [(song.arrival, number, False) for number, song in enumerate(songs)]
    heapq.heapify(coming)
    now = token = 0.0
    while left:
        due = schedule.due_at(now)
        turn = NEVER if due is None else max(token, due)
        if coming and coming[0][0] <= turn:
            now, number, taken = heapq.heappop(coming)
            if taken:
                accepted[number] = now
                schedule.watch(number, songs[number].kind, now=now, interval=INTERVAL)
            else:
                schedule.add(number, Kind.SUBMIT, now=now)
            continue
        now = turn
        choice = schedule.take(now)
        if choice is None:
            continue
        token, number = now + world.period, choice.job
        if choice.kind is Kind.SUBMIT:
            heapq.heappush(coming, (now + world.post, number, True))
        elif now - accepted[number] >= songs[number].duration:
            ends[number] = now
            left -= 1
            schedule.finished(number, now)
        elif now - accepted[number] > STUCK_AFTER:
            schedule.drop(number)
        else:
            schedule.polled(number, now)
    return ends


def handmade(world: World, at_once: float) -> list[float]:
    """Play it with what people write: first come first served, so many songs under way, a poll every 20 seconds."""
    songs, ends = world.songs, [NEVER] * len(world.songs)
    left = sum(song.duration < NEVER for song in songs)
    accepted: dict[int, float] = {}
    order = itertools.count()
    events = [(song.arrival, next(order), number, "asked") for number, song in enumerate(songs)]
    heapq.heapify(events)
    waiting: deque[int] = deque()
    queue: deque[int] = deque()
    token, under_way = 0.0, 0
    while left:
        turn = token if queue else NEVER
        if events and events[0][0] <= turn:
            now, _, number, what = heapq.heappop(events)
            if what == "asked":
                waiting.append(number)
            elif what == "taken":
                accepted[number] = now
                heapq.heappush(events, (now + EVERY, next(order), number, "poll"))
            elif what == "free":
                token = max(token, now)
            else:
                queue.append(number)
            while waiting and under_way < at_once:
                under_way += 1
                queue.append(waiting.popleft())
                token = max(token, now)
            token = max(token, now)
            continue
        now, number = turn, queue.popleft()
        token = now + world.period
        if number not in accepted:
            heapq.heappush(events, (now + world.post, next(order), number, "taken"))
            continue
        over = now - accepted[number] >= songs[number].duration
        if over:
            ends[number] = now
            left -= 1
        if over or now - accepted[number] > STUCK_AFTER:
            under_way -= 1
            heapq.heappush(events, (now, next(order), number, "free"))
        else:
            heapq.heappush(events, (now + EVERY, next(order), number, "poll"))
    return ends


WAYS: dict[str, Way] = {
    "aimusic_async": ours,
    "gather": lambda world: handmade(world, NEVER),
    "ten at a time": lambda world: handmade(world, 10),
}


# --- measuring -------------------------------------------------------------------------------------------------------


def measure(way: Way, world: str, seed: int) -> tuple[float, float]:
    """Return mean turnaround and makespan, in seconds."""
    played = WORLDS[world](random.Random(f"{seed} {world}"))
    ends = way(played)
    there = [(end, song.arrival) for end, song in zip(ends, played.songs, strict=True) if song.duration < NEVER]
    return statistics.fmean(end - arrival for end, arrival in there), max(end for end, _ in there)


def run(*, seeds: int) -> Group:
    """Play every world in every way; medians over the seeds, of which small worlds have more."""
    table = Table(title=f"Mean turnaround / makespan in seconds, medians of {seeds} runs, of more where songs are few")
    table.add_column("world")
    for name in WAYS:
        table.add_column(name, justify="right")
    for world, make in WORLDS.items():
        more = max(1, 100 // len(make(random.Random(world)).songs))
        row = []
        for way in WAYS.values():
            runs = [measure(way, world, seed) for seed in range(seeds * more)]
            row.append(" / ".join(f"{statistics.median(column):.1f}" for column in zip(*runs, strict=True)))
        table.add_row(world, *row)
    return Group(table)
