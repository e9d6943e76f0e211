"""Shows jobs on the screen as they run, prints their results as they end, saves their audio; returns an exit code."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from ..api.results import WITH_FILES
from ..errors import MusicError
from .exits import Exit, exit_of, exit_of_all
from .plain import plain_job
from .progress import Progress
from .screen import Screen
from .show import result_lines, safe

if TYPE_CHECKING:
    from ..jobs.job import Job
    from ..session import MusicSession


@contextmanager
def progress(screen: Screen, music: MusicSession) -> Iterator[None]:
    """Show a session's jobs as they change, unless `--quiet` was given."""
    clock = asyncio.get_running_loop().time
    started = clock()
    if screen.quiet:
        yield
        return
    with Progress(screen.err, lambda: (clock() - started) * screen.speed, keep=False).shown(music.events):
        yield


async def report(screen: Screen, music: MusicSession, job: Job[Any], out: Path | None) -> BaseException | None:
    """Wait for a job, save its audio, print its outcome; returns its error. Cancelling does not cancel the job."""
    await job.wait()
    error: BaseException | None = job.exception()
    result, files = None, list[Path]()
    if error is None:
        try:
            result = await job
            files = await save(screen, music, result, out)
        except (MusicError, OSError) as trouble:
            error = trouble
    print_outcome(screen, job, result, error, files)
    return error


async def save(screen: Screen, music: MusicSession, result: Any, out: Path | None) -> list[Path]:
    """Save the files of a result, if it has any and a folder was named."""
    if out is None:
        return []
    if not isinstance(result, WITH_FILES):
        screen.note(f"a {type(result).__name__} has no files to save")
        return []
    return await music.download(result, out)


def print_outcome(
    screen: Screen, job: Job[Any], result: Any, error: BaseException | None, files: Sequence[Path] = ()
) -> None:
    """Print a job's result to stdout, its error to stderr."""
    if screen.as_json:
        screen.row(plain_job(job, result=result, error=error, files=files))
    elif result is not None:
        show(screen, result, files)
    if error is not None:
        screen.fault(error)


def show(screen: Screen, result: Any, files: Sequence[Path] = ()) -> None:
    """Print a result for people."""
    screen.say("\n".join((*result_lines(result), *(f"  saved  {safe(path)}" for path in files))))


async def see_through(screen: Screen, music: MusicSession, jobs: Sequence[Job[Any]], out: Path | None) -> Exit:
    """Report each job as it ends; returns the exit code for all. Cancelling does not cancel the jobs."""
    errors: list[BaseException | None] = []

    async def see(job: Job[Any]) -> None:
        errors.append(await report(screen, music, job, out))

    async with anyio.create_task_group() as tasks:
        for job in jobs:
            tasks.start_soon(see, job)
    if len(jobs) == 1:
        return Exit.DONE if errors[0] is None else exit_of(errors[0])
    failed = sum(error is not None for error in errors)
    screen.note(f"{len(jobs) - failed} done, {failed} failed; {sum(job.credits for job in jobs)} credits")
    return exit_of_all(errors)
