"""`aimusic demo`: four songs, a remaster and stems, made in the sandbox and saved as audio."""

from __future__ import annotations

import asyncio
from pathlib import Path

import anyio
from rich.console import Console
from rich.markup import escape

from ..api.request import Request
from ..api.results import Clips
from ..api.sonic import CreateMusic, Remaster, StemsBasic
from ..jobs.group import JobGroup
from ..sandbox import Options, Sandbox
from ..session import MusicSession
from .progress import Progress

_SONGS = (
    CreateMusic(
        mv="sonic-v5",
        title="Harbour Lights",
        tags="indie folk, warm, acoustic guitar, 92 bpm",
        prompt="[Verse]\nLanterns on the water line\nRopes that hum an old design\n"
        "[Chorus]\nBring the harbour home tonight\nEvery window holds a light",
        vocal_gender="f",
    ),
    CreateMusic(
        mv="sonic-v5",
        title="Glass Elevator",
        tags="house, bright synths, 124 bpm",
        prompt="[Verse]\nUp above the noise we go\nForty floors of afterglow\n"
        "[Chorus]\nHold the door and hold the line\nEvery floor is yours and mine",
    ),
    CreateMusic(mv="sonic-v4-5", gpt_description_prompt="a slow piano ballad about the first snow", title="First Snow"),
    CreateMusic(mv="sonic-v5", make_instrumental=True, title="Night Bus", tags="lo-fi, mellow, vinyl, 78 bpm"),
)


async def run_demo(out: Path, *, speed: float, seed: int, console: Console) -> int:
    """Make the songs, save them in `out`, print what it took; returns the exit code."""
    await asyncio.to_thread(out.mkdir, parents=True, exist_ok=True)
    console.print(
        f"Four songs, a remaster and stems, in a sandbox on this machine at {speed:g} times real time.\n"
        "[dim]Times below are the service's seconds.[/]\n",
        soft_wrap=True,
    )
    loop = asyncio.get_running_loop()
    async with Sandbox(Options(speed=speed, seed=seed)) as box, MusicSession.sandbox(box) as music:
        before = await music.credits()
        started = loop.time()
        with Progress(console, lambda: (loop.time() - started) * speed).shown(music.events):
            async with music.group(on_failure="keep") as group:
                for number, request in enumerate(_SONGS, 1):
                    group.submit(request, key=f"song {number}")
                files = await _follow(music, group, out)
        took = (loop.time() - started) * speed
        after = await music.credits()
    console.print()
    for path in files:
        size = (await asyncio.to_thread(path.stat)).st_size
        console.print(f"  {escape(str(path))}  [dim]{size / 1024:.0f} kB[/]", highlight=False, soft_wrap=True)
    for job, error in group.failures().items():
        console.print(f"[red]{escape(job.key)}: {escape(str(error))}[/]", soft_wrap=True)
    songs = sum(isinstance(job.request, CreateMusic) and job.exception() is None for job in group.jobs)
    requests = music.stats.requests
    refused = len(box.books.refusals)
    time = f"{took / 60:.1f} minutes of the service ({took / speed:.0f} s here)"
    console.print(
        f"\n{songs} songs, {len(files)} audio files in {time}.\n"
        f"{requests} requests sent ({music.stats.polls} polls), {requests / max(songs, 1):.1f} per song; "
        f"{refused} refused (429). {before.total - after.total} credits spent, {after.total} left.",
        highlight=False,
        soft_wrap=True,
    )
    return 1 if group.failures() or refused else 0


async def _follow(music: MusicSession, group: JobGroup, out: Path) -> list[Path]:
    """Save each result as it comes; the first sung songs get a remaster and stems. Returns the files."""
    files: list[Path] = []

    async def save(result: Clips) -> None:
        files.extend(await music.download(result, out))

    follow_ups = [_stems, _remaster]
    async with anyio.create_task_group() as saving:
        async for job in group.as_completed():
            if job.exception() is not None:
                continue
            result: Clips = await job
            saving.start_soon(save, result)
            sung = isinstance(job.request, CreateMusic) and not job.request.make_instrumental
            if sung and follow_ups:
                name, request = follow_ups.pop()(result.clips[0].clip_id)
                group.submit(request, key=f"{name} of {job.key}")
    return sorted(files)


def _remaster(clip_id: str) -> tuple[str, Request[Clips]]:
    return "remaster", Remaster(continue_clip_id=clip_id, mv="sonic-v5", variation_category="subtle")


def _stems(clip_id: str) -> tuple[str, Request[Clips]]:
    return "stems", StemsBasic(clip_id=clip_id)
