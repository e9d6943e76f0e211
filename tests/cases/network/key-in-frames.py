"""No frame that an error carries may show the API key: tools print the local variables of each.

It once hung on aiohttp's frames, below `__cause__`, as the header "Authorization".
"""

import asyncio
import logging
import sys
import traceback

from aimusic_async import MusicSession, Settings, TokenBucket, sonic

logging.disable()
WORDS = ("sk", "verysecret")


async def error_of(url):
    """What a POST comes to there."""
    settings = Settings(api_key="-".join(WORDS), base_url=url)
    async with MusicSession(settings=settings, limiter=TokenBucket(rate=50)) as music:
        job = music.submit(sonic.CreateMusic(prompt="x", mv="sonic-v5"))
        await asyncio.wait([asyncio.ensure_future(job.wait())], timeout=1)
        return job.exception() or job._work.trouble


async def main():
    """Print the lines that show the key; return in which cases there were any."""

    async def drops(reader, writer):
        await reader.readuntil(b"}")
        writer.close()

    server = await asyncio.start_server(drops, "127.0.0.1", 0)
    bad = []
    for name, port in {"the connection was dropped": server.sockets[0].getsockname()[1], "no connection": 9}.items():
        error = await error_of(f"http://127.0.0.1:{port}")
        said = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        lines = [line.strip() for line in said.splitlines() if "verysecret" in line]
        print(name, type(error).__name__, lines)
        bad += [name] * bool(lines)
    return bad


bad = asyncio.run(main())
print("FAULT" if bad else "OK")
sys.exit(bool(bad))
