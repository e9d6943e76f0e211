"""What is cancelled while others go before it is let go of: by a bot that runs for days, say."""

import gc
import weakref

from _lib import judge

from aimusic_async.scheduling.schedule import Kind, Schedule


class Job:
    """Something that can be seen to be let go of."""


schedule, now, seen = Schedule(), 0.0, []
schedule.add(Job(), Kind.SUBMIT, now=now)
for _ in range(5000):
    low = Job()
    seen.append(weakref.ref(low))
    schedule.add(low, Kind.SUBMIT, now=now, priority=-1)
    schedule.add(Job(), Kind.SUBMIT, now=now)  # one always waits, and goes first
    schedule.drop(low)
    del low
    schedule.due_at(now)
    schedule.take(now)
    now += 3
gc.collect()
held = sum(one() is not None for one in seen)
print(held, "of 5000 cancelled jobs are still held")
judge(fault="cancelled jobs are let go of only when their turn comes" if held > 600 else "")
