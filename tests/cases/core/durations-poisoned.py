"""One task that hangs for an hour does not spoil what was learned from sixty that did not."""

import random

from _lib import judge

from aimusic_async.scheduling.durations import Durations, TaskKind

SONG, INTERVAL, AN_HOUR = TaskKind("sonic.create_music sonic-v5", 60.0), 15.0, 3600.0
durations, dice = Durations(), random.Random(1)


def play(length):
    """Poll one task until it has finished, for an hour at most."""
    since, age = 0.0, INTERVAL
    while age < min(length, AN_HOUR):
        durations.observe(SONG, since=since, age=age, finished=False)
        since, age = age, age + INTERVAL
    if age < AN_HOUR:
        durations.observe(SONG, since=since, age=age, finished=True)


def nearly_all_done():
    return durations.of(SONG).age_at(0.94, since=0)


for _ in range(60):
    play(dice.lognormvariate(4.1, 0.2))
before = nearly_all_done()
play(float("inf"))
print(f"94 % are done after {before:.0f} s, and after {nearly_all_done():.0f} s once one task hung")
judge(fault="one odd task outweighs sixty others" if nearly_all_done() > 1.5 * before else "")
