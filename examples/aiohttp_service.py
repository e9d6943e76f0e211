"""A web service (aiohttp) that takes a request, submits it, and answers when the service's delivery comes.

In one terminal: `aimusic sandbox --speed 60 --http-webhooks`. In another:

    export AIMUSIC_BASE_URL=http://127.0.0.1:8787 AIMUSIC_API_KEY=sandbox-key AIMUSIC_SPEED=60
    export AIMUSIC_WEBHOOK_SECRET=$(python3 -c 'import secrets; print(secrets.token_urlsafe(32))')
    python examples/aiohttp_service.py

In a third; GET /songs/KEY, with the key that this answers, shows the song again, also after a restart:

    curl 'http://127.0.0.1:8080/songs?wait=60' -d '{"prompt": "[Verse] Lanterns"}'

With the real service: AIMUSIC_API_KEY, an AIMUSIC_WEBHOOK_SECRET that stays the same, AIMUSIC_WEBHOOK_URL (https, to
/webhook here), and neither AIMUSIC_BASE_URL nor AIMUSIC_SPEED. Run one process: it holds the jobs.
"""

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

import aimusic_async as aimusic
from aimusic_async import Job, JobState, MusicSession, WebhookConfig, from_plain, sonic, webhooks

PORT = int(os.environ.get("PORT", "8080"))
MUSIC = web.AppKey("music", MusicSession)
JOBS = web.AppKey("jobs", dict[str, Job[Any]])
TIMEOUT = 900  # seconds that a song may take at the service
STATUS: dict[type[aimusic.MusicError], int] = {
    aimusic.ValidationError: 422,
    aimusic.ContentRejected: 422,
    aimusic.BudgetExceeded: 402,
    aimusic.InsufficientCredits: 402,
    aimusic.JobCancelled: 503,
    aimusic.JobTimeout: 504,
}  # for what ends a job; all else is 502: JobFailed, SubmissionUnknown (perhaps paid: nobody sends it again), …


async def post_song(request: web.Request) -> web.Response:
    """`POST /songs {"prompt": "…", "mv": "sonic-v5"}`: submit; wait `?wait=` seconds (0, at most 60) for the song."""
    try:
        wait, body = min(int(request.query.get("wait", 0)), 60), await request.json()
        wish = sonic.CreateMusic(prompt=body["prompt"], mv=body.get("mv", "sonic-v5"))
    except aimusic.InvalidRequest as error:
        return web.json_response({"error": str(error), "field": error.field, "limit": error.limit}, status=422)
    except (ValueError, LookupError, TypeError, AttributeError):
        return web.json_response({"error": 'send {"prompt": "…", "mv": "sonic-v5"}'}, status=400)
    job = request.app[MUSIC].submit(wish, key=uuid.uuid4().hex, timeout=TIMEOUT)
    request.app[JOBS][job.key] = job
    return await answer(job, wait)


async def get_song(request: web.Request) -> web.Response:
    """`GET /songs/KEY`: the song, or 202 when it is not there after 25 seconds; ask again then."""
    job = request.app[JOBS].get(request.match_info["key"])
    return await answer(job, 25) if job else web.json_response({"error": "there is no such song"}, status=404)


async def answer(job: Job[Any], wait: float) -> web.Response:
    """Wait for a job and report its state. A client that hangs up, or stops waiting, does not cancel the job."""
    try:
        await job.recorded()  # it is in the journal, so a 202 is a promise that outlives this process
        async with asyncio.timeout(wait):
            song = await job
    except TimeoutError:
        state = {"key": job.key, "state": job.state, "listen": job.streaming_url}
        return web.json_response(state, status=202, headers={"Location": f"/songs/{job.key}"})
    except aimusic.MusicError as error:
        state = {"key": job.key, "state": job.state, "error": str(error)}
        return web.json_response(state, status=STATUS.get(type(error), 502))
    clips = [{"title": clip.title, "audio": clip.audio_url, "seconds": clip.duration} for clip in song.clips]
    return web.json_response({"key": job.key, "state": job.state, "clips": clips})


async def session(app: web.Application) -> AsyncIterator[None]:
    """Keep the session open while the server runs, and submit the jobs of earlier runs again."""
    async with app[MUSIC] as music:
        await music.journal.prune()  # what ended a month ago
        for record in await music.journal.jobs(group=""):
            refused = record.state == JobState.CANCELLED or (record.state == JobState.QUEUED and record.error)
            if record.request and not refused:  # what was refused stays so: the caller knows
                request = from_plain(record.fields())
                app[JOBS][record.key] = music.submit(request, key=record.key, timeout=TIMEOUT)
        yield


def make_app() -> web.Application:
    """Put it together; raises `ConfigurationError` for a setting that is missing or wrong."""
    url = os.environ.get("AIMUSIC_WEBHOOK_URL", f"http://127.0.0.1:{PORT}/webhook")
    webhook = WebhookConfig(url, os.environ.get("AIMUSIC_WEBHOOK_SECRET", ""))
    app = web.Application()
    app[MUSIC] = MusicSession(journal=os.environ.get("JOURNAL", "songs.db"), webhook=webhook)
    app[JOBS] = {}
    app.cleanup_ctx.append(session)
    app.router.add_post("/songs", post_song)
    app.router.add_get("/songs/{key}", get_song)
    app.router.add_post("/webhook", webhooks.aiohttp_handler(app[MUSIC]))
    return app


if __name__ == "__main__":
    try:
        web.run_app(make_app(), host="127.0.0.1", port=PORT, shutdown_timeout=5)
    except aimusic.ConfigurationError as error:
        sys.exit(str(error))
