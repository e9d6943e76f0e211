"""An ASGI service for several uvicorn workers, which share the journal, its limit and its jobs."""

import contextlib
import os

import fastapi

from aimusic_async import MusicSession, sonic


@contextlib.asynccontextmanager
async def lifespan(app):
    """Hold a session of this worker's own."""
    async with MusicSession(journal=os.environ["JOURNAL"]) as music:
        app.state.music = music
        yield


app = fastapi.FastAPI(lifespan=lifespan)


@app.post("/songs/{key}")
async def make(key: str, request: fastapi.Request):
    """Make a song, or find that another worker did."""
    music = request.app.state.music
    song = await music.submit(sonic.CreateMusic(prompt=key, mv="sonic-v5"), key=key)
    return {"worker": os.getpid(), "task": song.task_id, "refusals": music.stats.refusals}
