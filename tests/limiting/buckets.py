"""What the tests of the shared bucket have in common."""

import asyncio
import itertools
import math
import sqlite3
from contextlib import closing, contextmanager

from aimusic_async.limiting.shared import SharedTokenBucket

PERIOD = 3.0
LONG = 1000.0
HOUR = 3600.0


def shared(path, period=LONG, **others):
    return SharedTokenBucket(path, rate=1 / period, margin=0, **others)


async def at_once(bucket):
    async with asyncio.timeout(5):
        return await bucket.acquire()


async def has_to_wait(bucket):
    waiter = asyncio.create_task(bucket.acquire())
    await asyncio.wait([waiter], timeout=0.2)
    waiter.cancel()
    await asyncio.wait([waiter])
    return waiter.cancelled()


@contextmanager
def locked(path):
    """Somebody else is in the middle of a transaction."""
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("BEGIN EXCLUSIVE")
        yield


def nearest(moments):
    moments = sorted(moments)
    return min((late - early for early, late in itertools.pairwise(moments)), default=math.inf)


def assert_within(moments, period, capacity):
    """No window of time saw more than `capacity` and one a period."""
    moments = sorted(moments)
    for first, early in enumerate(moments):
        for count, late in enumerate(moments[first:], 1):
            assert count <= capacity + (late - early) / period + 1e-5, (early, late, count)
