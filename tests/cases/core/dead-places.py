"""Processes that were killed while they waited for a token delay nobody who comes after them, a period each."""

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _lib import judge

from aimusic_async import SharedTokenBucket

RATE, DEAD, PAUSE = 5.0, 25, 14.0
WAITS_AND_DIES = """
import asyncio, os, signal, sys
from aimusic_async import SharedTokenBucket

async def main():
    async with SharedTokenBucket(sys.argv[1], "a", 5.0) as limiter:
        waiting = asyncio.ensure_future(limiter.acquire())
        await asyncio.sleep(0.3)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def main():
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "limit"
        async with SharedTokenBucket(path, "a", RATE) as limiter:
            over = loop.time() + PAUSE
            limiter.pause_until(over)  # the service said 429: all wait
            await asyncio.sleep(0.2)
            for _ in range(DEAD):
                await asyncio.to_thread(subprocess.run, [sys.executable, "-c", WAITS_AND_DIES, path], check=False)
            began = time.monotonic()
            await limiter.acquire()
            return time.monotonic() - max(began, over), limiter.period


waited, period = asyncio.run(main())
print(f"{DEAD} died in the line; the next token came {waited:.2f} s after the pause; a period is {period:.2f} s")
judge(fault="the dead are waited for" if waited > 4 * period else "")
