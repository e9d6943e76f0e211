"""How long things take: durations drawn from a seeded stream, and when each clip of a task settles. Pure."""

import math
from collections.abc import Mapping
from random import Random
from typing import TypeVar

from attrs import evolve, frozen

from aimusic_async.sandbox.faults import Fate
from aimusic_async.sandbox.options import Options, Timing

T = TypeVar("T")

NEVER = 1e12
"""Seconds until never: some thirty thousand years. One can reckon with it, unlike with infinity."""

TASKS: Mapping[str, tuple[float, float]] = {
    "sonic": (90.0, 0.35),
    "sonic.stems_basic": (45.0, 0.35),
    "sonic.stems_full": (45.0, 0.35),
    "sonic.create_voice": (40.0, 0.35),
    "sonic.upload_music": (20.0, 0.2),
    "sonic.get_wav": (9.0, 0.3),
    "sonic.get_midi": (14.0, 0.3),
    "sonic.download": (9.0, 0.3),
    "sonic.get_lyrics_timeline": (8.0, 0.3),
    "producer": (30.0, 0.35),
    "producer.upload": (15.0, 0.3),
    "producer.download": (9.0, 0.25),
    "riffusion": (60.0, 0.35),
    "nuro": (30.0, 0.3),
}
"""Median seconds of a task and the spread of their logarithm, by operation or family."""

ANSWERS: Mapping[str, tuple[float, float]] = {
    "sonic.upload_music": (20.0, 0.15),
    "sonic.upload_extend": (42.0, 0.12),
    "sonic.upload_cover": (42.0, 0.12),
    "sonic.create_persona": (0.8, 0.3),
    "sonic.upsample_tags": (0.6, 0.3),
    "sonic.get_bpm": (0.4, 0.3),
    "sonic.get_vox": (0.6, 0.3),
    "lyrics.generate_lyrics": (0.9, 0.3),
    "riffusion.upload": (5.0, 0.3),
}
"""The same for the requests that are slow to answer; all others answer at once."""


def stream(seed: int, ordinal: int, purpose: str = "") -> Random:
    """The random numbers of one accepted operation; each purpose has its own, so that none disturbs another."""
    return Random(f"{seed}/{ordinal}/{purpose}")


def _most_specific(table: Mapping[str, T], operation: str) -> T | None:
    for name in (operation, operation.partition(".")[0], "*"):
        if name in table:
            return table[name]
    return None


def _seconds(
    given: Timing, usual: Mapping[str, tuple[float, float]], operation: str, ordinal: int, chance: Random
) -> float:
    wanted = given(operation, ordinal) if callable(given) else _most_specific(given, operation)
    if wanted is not None:
        return wanted
    found = _most_specific(usual, operation)
    if found is None:
        return 0.0
    median, sigma = found
    return median * math.exp(sigma * chance.gauss(0.0, 1.0))


def task_seconds(options: Options, operation: str, ordinal: int) -> float:
    """Service seconds from a task's acceptance until all of it has settled."""
    return _seconds(options.durations, TASKS, operation, ordinal, stream(options.seed, ordinal, "duration"))


def answer_seconds(options: Options, operation: str, ordinal: int) -> float:
    """Service seconds that the request itself takes."""
    return _seconds(options.answer_times, ANSWERS, operation, ordinal, stream(options.seed, ordinal, "answer"))


@frozen(kw_only=True)
class Timetable:
    """When a task shows its clips and when each of them settles, in loop time, and how."""

    accepted_at: float
    shown_at: float
    settles_at: tuple[float, ...]
    fails: tuple[bool, ...]
    timed_out: bool = False

    @property
    def ends_at(self) -> float:
        """When the last clip settles."""
        return max(self.settles_at)

    @property
    def failed(self) -> bool:
        """Whether nothing comes of the task, so that its price is given back."""
        return all(self.fails)


def vanishing(options: Options, operation: str, ordinal: int, fate: Fate) -> float:
    """Real seconds from a task's acceptance until nobody knows it any more."""
    after = fate.after
    if after is None:
        share = stream(options.seed, ordinal, "vanishing").uniform(0.0, 0.9)
        after = share * task_seconds(options, operation, ordinal)
    return after / options.speed


def timetable(
    options: Options, operation: str, ordinal: int, at: float, clips: int, *, fate: Fate | None = None
) -> Timetable:
    """The timetable of a task of `clips` clips that is accepted at loop time `at` and has this fate."""
    chance = stream(options.seed, ordinal, "timetable")
    total = task_seconds(options, operation, ordinal) / options.speed
    first_look = chance.uniform(*options.not_ready_share)
    shares = [*sorted(chance.uniform(*options.clip_spread) for _ in range(clips - 1)), 1.0]
    task_failed = chance.random() < options.task_failure_rate
    timed_out = chance.random() < options.timeout_rate
    fails = tuple((chance.random() < options.failure_rate) or task_failed or timed_out for _ in range(clips))
    if timed_out:
        shares = [1.0] * clips
    times = Timetable(
        accepted_at=at,
        shown_at=at + total * min(first_look, *shares),
        settles_at=tuple(at + total * share for share in shares),
        fails=fails,
        timed_out=timed_out,
    )
    if fate is None:
        return times
    settles_at = (at + NEVER,) * clips if fate.kind == "hangs" else times.settles_at
    return evolve(times, settles_at=settles_at, fails=(fate.kind == "fails",) * clips, timed_out=False)
