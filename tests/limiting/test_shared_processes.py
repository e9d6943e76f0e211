"""The limit between real processes, also when they are killed."""

import asyncio
import itertools
import subprocess
import sys
import time
from contextlib import contextmanager

from .buckets import nearest, shared

CALLER = """
import asyncio, sys, time
from aimusic_async.limiting.shared import SharedTokenBucket

async def main(path, period):
    async with SharedTokenBucket(path, rate=1 / period, margin=0) as bucket:
        async def call():
            while True:
                token = await bucket.acquire()
                print(time.time(), flush=True)
                token.spent()
        await asyncio.gather(*(call() for _ in range(3)))

asyncio.run(main(sys.argv[1], float(sys.argv[2])))
"""


@contextmanager
def caller(path, period):
    """A process with three tasks that never stop asking; it prints when it was given a token. It ends with kill -9."""
    process = subprocess.Popen([sys.executable, "-c", CALLER, path, str(period)], stdout=subprocess.PIPE, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_a_killed_process_that_stood_in_line_costs_the_others_nothing(tmp_path):
    path, period = tmp_path / "line", 0.8

    async def next_token():
        async with shared(path, period) as bucket:
            await bucket.acquire()
        return time.time()

    with caller(path, period) as process:
        granted = float(process.stdout.readline())
        time.sleep(period / 4)  # by now it stands in line again
    took = asyncio.run(next_token()) - granted
    assert period - 0.01 <= took < 1.9 * period


def test_processes_killed_at_any_moment_harm_neither_the_file_nor_the_others(tmp_path, caplog):
    path, period = tmp_path / "line", 0.02

    async def go_on():
        async with shared(path, period) as bucket:
            for _ in range(10):
                (await bucket.acquire()).spent()

    for number in range(5):
        with caller(path, period) as process:
            process.stdout.readline()
            time.sleep(number * 0.0037)
        started = time.monotonic()
        asyncio.run(go_on())
        assert time.monotonic() - started < 2.0
    assert not caplog.records


def test_busy_processes_get_their_share_each_and_never_two_tokens_too_near(tmp_path):
    path, period = tmp_path / "line", 0.1
    with caller(path, period) as a, caller(path, period) as b, caller(path, period) as c:
        moments = [[float(process.stdout.readline()) for _ in range(8)] for process in (a, b, c)]
        for process, own in zip((a, b, c), moments, strict=True):
            process.kill()
            own += [float(line) for line in process.stdout.read().split()[:-1]]
    assert nearest(itertools.chain(*moments)) >= period - 0.005
    start, end = max(own[0] for own in moments), min(own[-1] for own in moments)  # while all were there
    counts = [sum(start <= moment <= end for moment in own) for own in moments]
    assert max(counts) >= 4
    assert 2 * min(counts) >= max(counts)
