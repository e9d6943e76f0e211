"""Tasks for a Celery worker of the prefork pool: each opens a session of its own on one journal."""

import asyncio
import os

import celery

from aimusic_async import MusicSession, sonic, to_plain

FOLDER = os.environ["FOLDER"]

app = celery.Celery("songs", broker="filesystem://", backend=f"file://{FOLDER}/results")
app.conf.update(
    broker_transport_options={f"data_folder_{way}": f"{FOLDER}/queue" for way in ("in", "out")}
    | {"control_folder": f"{FOLDER}/control"},
    result_serializer=os.environ["SERIALIZER"],
    accept_content=["json", "pickle"],
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
)


async def _made(request, key):
    async with MusicSession(journal=f"{FOLDER}/jobs.db") as music:
        return await music.submit(request, key=key)


@app.task
def make(key):
    """Make a song."""
    return to_plain(asyncio.run(_made(sonic.CreateMusic(prompt=key, mv="sonic-v5"), key)))


@app.task
def fail(key):
    """Fail, as the service has no such clip."""
    asyncio.run(_made(sonic.Remaster(continue_clip_id="nobody", mv="sonic-v5"), key))
