"""Attached tasks that run on and on leave tokens for what is to be submitted, be they five or three hundred."""

from _lib import judge

from aimusic_async.scheduling.durations import TaskKind
from aimusic_async.scheduling.schedule import Kind, Schedule

PERIOD, SONG = 3.06, TaskKind("sonic.create_music sonic-v5", 60.0)


def waited(count):
    """Return for how many seconds a submit waits behind so many attached tasks."""
    schedule, now, polls = Schedule(), 0.0, 0
    for number in range(count):
        schedule.attach(f"attached {number}", SONG, now=now, interval=15.0)
    schedule.add("new song", Kind.SUBMIT, now=now)
    while now < 3600:
        choice = schedule.take(now)
        if choice is None:
            now = max(schedule.due_at(now) or now + 1, now + 0.001)
            continue
        if choice.kind is Kind.SUBMIT:
            break
        schedule.polled(choice.job, now)
        polls, now = polls + 1, now + PERIOD
    print(f"behind {count} attached tasks, a submit got a token after {now:.0f} s and {polls} polls")
    return now


judge(fault="the submit starved" if max(map(waited, (5, 300))) > 300 else "")
