"""A web service (FastAPI) that takes a request, submits it, and answers when the service's delivery comes.

FastAPI and uvicorn are not dependencies of aimusic-async: `pip install fastapi uvicorn`. In one terminal:
`aimusic sandbox --speed 60 --http-webhooks`. In another:

    export AIMUSIC_BASE_URL=http://127.0.0.1:8787 AIMUSIC_API_KEY=sandbox-key AIMUSIC_SPEED=60
    export AIMUSIC_WEBHOOK_SECRET=$(python3 -c 'import secrets; print(secrets.token_urlsafe(32))')
    python examples/fastapi_service.py

In a third; GET /songs/KEY, with the key that this answers, shows the song again, also after a restart:

    curl -H 'Content-Type: application/json' -d '{"prompt": "[Verse] Lanterns"}' 'http://127.0.0.1:8080/songs?wait=60'

With the real service: AIMUSIC_API_KEY, an AIMUSIC_WEBHOOK_SECRET that stays the same, AIMUSIC_WEBHOOK_URL (https, to
/webhook here), and neither AIMUSIC_BASE_URL nor AIMUSIC_SPEED. Run one process: it holds the jobs.
"""

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, HTTPException, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.routing import Route

import aimusic_async as aimusic
from aimusic_async import Job, JobState, MusicSession, WebhookConfig, from_plain, sonic, webhooks

PORT = int(os.environ.get("PORT", "8080"))
TIMEOUT = 900  # seconds that a song may take at the service
STATUS: dict[type[aimusic.MusicError], int] = {
    aimusic.ValidationError: 422,
    aimusic.ContentRejected: 422,
    aimusic.BudgetExceeded: 402,
    aimusic.InsufficientCredits: 402,
    aimusic.JobCancelled: 503,
    aimusic.JobTimeout: 504,
}  # for what ends a job; all else is 502: JobFailed, SubmissionUnknown (perhaps paid: nobody sends it again), …
Seconds = Annotated[float, Query(ge=0, le=60)]


class Wish(BaseModel):
    """What a client sends."""

    prompt: str
    mv: str = "sonic-v5"


async def answer(job: Job[Any], wait: float) -> JSONResponse:
    """Wait for a job and report its state. A client that hangs up, or stops waiting, does not cancel the job."""
    try:
        await job.recorded()  # it is in the journal, so a 202 is a promise that outlives this process
        async with asyncio.timeout(wait):
            song = await job
    except TimeoutError:
        state = {"key": job.key, "state": job.state, "listen": job.streaming_url}
        return JSONResponse(state, 202, headers={"Location": f"/songs/{job.key}"})
    except aimusic.MusicError as error:
        state = {"key": job.key, "state": job.state, "error": str(error)}
        return JSONResponse(state, STATUS.get(type(error), 502))
    clips = [{"title": clip.title, "audio": clip.audio_url, "seconds": clip.duration} for clip in song.clips]
    return JSONResponse({"key": job.key, "state": job.state, "clips": clips})


def make_app() -> FastAPI:
    """Put it together; raises `ConfigurationError` for a setting that is missing or wrong."""
    url = os.environ.get("AIMUSIC_WEBHOOK_URL", f"http://127.0.0.1:{PORT}/webhook")
    webhook = WebhookConfig(url, os.environ.get("AIMUSIC_WEBHOOK_SECRET", ""))
    music = MusicSession(journal=os.environ.get("JOURNAL", "songs.db"), webhook=webhook)
    jobs: dict[str, Job[Any]] = {}

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        """Keep the session open while the server runs, and submit the jobs of earlier runs again."""
        async with music:
            await music.journal.prune()  # what ended a month ago
            for record in await music.journal.jobs(group=""):
                refused = record.state == JobState.CANCELLED or (record.state == JobState.QUEUED and record.error)
                if record.request and not refused:  # what was refused stays so: the caller knows
                    request = from_plain(record.fields())
                    jobs[record.key] = music.submit(request, key=record.key, timeout=TIMEOUT)
            yield

    app = FastAPI(lifespan=lifespan)
    app.routes.append(Route("/webhook", webhooks.asgi_app(music), methods=["POST"]))

    @app.post("/songs")
    async def post_song(wish: Wish, wait: Seconds = 0) -> JSONResponse:
        """Submit a song; wait up to `wait` seconds for it."""
        try:
            request = sonic.CreateMusic(prompt=wish.prompt, mv=wish.mv)
        except aimusic.InvalidRequest as error:
            return JSONResponse({"error": str(error), "field": error.field, "limit": error.limit}, 422)
        job = music.submit(request, key=uuid.uuid4().hex, timeout=TIMEOUT)
        jobs[job.key] = job
        return await answer(job, wait)

    @app.get("/songs/{key}")
    async def get_song(key: str, wait: Seconds = 25) -> JSONResponse:
        """Return the song, or 202 when it is not there after `wait` seconds; ask again then."""
        if key not in jobs:
            raise HTTPException(404, "there is no such song")
        return await answer(jobs[key], wait)

    return app


if __name__ == "__main__":
    try:
        uvicorn.run(make_app(), host="127.0.0.1", port=PORT, timeout_graceful_shutdown=5)
    except aimusic.ConfigurationError as error:
        sys.exit(str(error))
