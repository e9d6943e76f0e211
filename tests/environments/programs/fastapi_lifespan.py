"""A FastAPI service whose lifespan holds the session; one of its clients goes away while its song is made."""

import asyncio
import contextlib
import sys

import aiohttp
import fastapi
import uvicorn

from aimusic_async import MusicSession, sonic, to_plain

JOURNAL = sys.argv[1]


@contextlib.asynccontextmanager
async def lifespan(app):
    """Hold the session as long as the service runs."""
    async with MusicSession(journal=JOURNAL) as music:
        app.state.music = music
        yield


app = fastapi.FastAPI(lifespan=lifespan)


@app.post("/songs/{key}")
async def make(key: str, request: fastapi.Request):
    """Make a song, while somebody waits for it or not."""
    job = request.app.state.music.submit(sonic.CreateMusic(prompt=key, mv="sonic-v5"), key=key)
    return to_plain(await job)


async def main():
    """Serve, ask, go away, ask again."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        with contextlib.suppress(TimeoutError):
            await client.post("/songs/a", timeout=aiohttp.ClientTimeout(total=0.05))  # and is gone
        async with client.post("/songs/a") as answer:
            first = await answer.json()
        async with client.post("/songs/a") as answer:
            assert await answer.json() == first
        async with client.post("/songs/b") as answer:
            assert (await answer.json())["task_id"] != first["task_id"]
    server.should_exit = True
    await serving
    print("OK")


asyncio.run(main())
