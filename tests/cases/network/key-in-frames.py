"""The API key is in no variable of a frame that an error carries, whatever the network did."""

import asyncio
import logging
import sys
import traceback

from aimusic_async import MusicSession, Settings, TokenBucket, account, sonic

logging.disable()
SECRET = "tercesyrev"[::-1]  # so that no line of this source shows it


async def errors_of(url):
    settings = Settings(api_key=f"sk-{SECRET}", base_url=url)
    found = []
    for request in (sonic.CreateMusic(prompt="x", mv="sonic-v5"), account.GetCredits()):
        async with MusicSession(settings=settings, limiter=TokenBucket(rate=50)) as music:
            job = music.submit(request)
            await asyncio.wait([asyncio.ensure_future(job.wait())], timeout=1)
        found.append(job.exception())
    return found


async def main():
    async def drops(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(drops, "127.0.0.1", 0)
    bad = []
    for name, port in {"dropped": server.sockets[0].getsockname()[1], "no connection": 9}.items():
        for error in await errors_of(f"http://127.0.0.1:{port}"):
            shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
            lines = [line.strip() for line in shown.splitlines() if SECRET in line]
            print(name, type(error).__name__, lines)
            bad += [name] * bool(lines)
    return bad


bad = asyncio.run(main())
print(f"FAULT: {bad}" if bad else "OK")
sys.exit(bool(bad))
