"""HTTPS_PROXY is used, and the error says which proxy failed and what named it."""

import asyncio
import logging
import os
import sys

from aimusic_async import MusicSession, Settings, TokenBucket, sonic

lines = []


class Keep(logging.Handler):
    def emit(self, record):
        lines.append(record.getMessage())


logging.getLogger("aimusic_async").addHandler(Keep())


async def main():
    asked = []

    async def proxy(reader, writer):
        asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].decode())
        writer.write(b"HTTP/1.1 503 no\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    os.environ["HTTPS_PROXY"] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    settings = Settings(api_key="kkkkkkkk", base_url="https://api.example.invalid")
    async with MusicSession(settings=settings, limiter=TokenBucket(rate=50)) as music:
        job = music.submit(sonic.CreateMusic(prompt="x", mv="sonic-v5"))
        await asyncio.wait([asyncio.ensure_future(job.wait())], timeout=1)
    print("the proxy was asked:", asked[:1], "|", lines[:1])
    return bool(asked) and "HTTPS_PROXY" in lines[0]


ok = asyncio.run(main())
print("OK" if ok else "FAULT: ignored without a word")
sys.exit(not ok)
