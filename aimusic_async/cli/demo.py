"""`aimusic demo`: four songs, a remaster and stems, made in the sandbox and saved as audio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
from rich.console import Console
from rich.markup import escape

from ..api.results import Clips
from ..api.sonic import CreateMusic, Remaster, StemsBasic
from ..jobs.group import JobGroup
from ..jobs.job import Job
from ..sandbox import Options, Sandbox
from ..session import MusicSession
from .common import check_folder
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


async def run_demo(
    out: Path,
    *,
    speed: float,
    seed: int,
    console: Console,
    row: Callable[[Mapping[str, Any]], None] | None = None,
) -> int:
    """Make the songs, save them in `out`, print what it took; returns the exit code. `row` gets the same as data."""
    await asyncio.to_thread(check_folder, out)
    console.print(
        f"Four songs, a remaster and stems, in a sandbox on this machine at {speed:g} times real time.\n"
        "[dim]Times below are the service's seconds, without the rendering and saving of the audio.[/]\n",
        soft_wrap=True,
    )
    files: list[Path] = []
    clock = asyncio.get_running_loop().time
    took = 0.0
    try:
        # Songs shorter than the service's: this machine has to make all of their files.
        async with (
            Sandbox(Options(speed=speed, seed=seed, song_seconds=(24.0, 40.0))) as box,
            MusicSession.sandbox(box) as music,
        ):
            before = await music.credits()
            started = clock()
            progress = Progress(console, lambda: (clock() - started) * speed)
            with progress.shown(music.events):
                async with music.group(on_failure="keep") as group, anyio.create_task_group() as saving:
                    for number, request in enumerate(_SONGS, 1):
                        group.submit(request, key=f"song {number}")
                    async for job in group.as_completed():
                        if job.exception() is None:
                            saving.start_soon(_save, music, await job, out, files, progress)
                            _submit_next(group, job)
                    took = (clock() - started) * speed
            seconds = clock() - started
            after = await music.credits()
    except asyncio.CancelledError:
        console.print(f"\n{len(files)} files are in {escape(str(out))}", highlight=False)
        raise
    console.print()
    for path in sorted(files):
        size = (await asyncio.to_thread(path.stat)).st_size
        console.print(f"  {escape(str(path))}  [dim]{size / 1000:.0f} kB[/]", highlight=False, soft_wrap=True)
        if row is not None:
            row({"file": str(path), "bytes": size})
    for job, error in group.failures().items():
        console.print(f"[red]{escape(job.key)}: {escape(str(error))}[/]", soft_wrap=True)
    songs = sum(isinstance(job.request, CreateMusic) and job.exception() is None for job in group.jobs)
    requests = music.stats.requests
    refused = len(box.books.refusals)
    console.print(
        f"\n{songs} songs, {len(files)} audio files; {took:.0f} seconds of the service, "
        f"{seconds:.0f} here with the saving.\n"
        f"{requests} requests sent ({music.stats.polls} polls), {requests / max(songs, 1):.1f} per song; "
        f"{refused} refused (429). {before.total - after.total} credits spent, {after.total} left.",
        highlight=False,
        soft_wrap=True,
    )
    if row is not None:
        counts = {"songs": songs, "files": len(files), "requests": requests, "polls": music.stats.polls}
        row({**counts, "refused": refused, "credits_spent": before.total - after.total, "credits_left": after.total})
    return 1 if group.failures() or refused else 0


async def _save(music: MusicSession, result: Clips, out: Path, files: list[Path], progress: Progress) -> None:
    progress.saving += len(result.clips)
    files += await music.download(result, out)
    progress.saving -= len(result.clips)


def _submit_next(group: JobGroup, job: Job[Any]) -> None:
    """Submit what comes after a song: always after the same songs, whichever ends first."""
    clip_id = job.clips[0].clip_id
    match job.key:
        case "song 1":
            group.submit(StemsBasic(clip_id=clip_id), key="stems of song 1")
        case "song 2":
            remaster = Remaster(continue_clip_id=clip_id, mv="sonic-v5", variation_category="subtle")
            group.submit(remaster, key="remaster of song 2")
