"""`aimusic batch`: checks a manifest, shows the plan, asks, and runs it; the next run goes on where it stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import attrs
import typer

from ..errors import ConfigurationError, InvalidRequest, MusicError
from .batch_texts import counted, plain_plan, plan_lines
from .common import Work, check_folder, finish, opened, with_options
from .exits import Exit, exit_of_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..batch import Batch, Ended, Plan
    from ..manifest import Fault, Manifest
    from .screen import Screen

_OUTPUT = "Output"
_SENDING = "Sending"


@attrs.frozen(kw_only=True)
class Running(Work):
    """How a manifest is run."""

    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            file_okay=False,
            metavar="FOLDER",
            help="Folder for the files, created when missing; the journal is in its .aimusic, if --journal names none.",
            rich_help_panel=_OUTPUT,
        ),
    ] = Path("out")
    template: Annotated[
        str | None,
        typer.Option(
            metavar="TEMPLATE",
            help="How to name files, with {key} {title} {clip_id} {index} {part} {operation}.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="What to save of each clip: audio, cover, video, lyrics; may be given several times. "
            "Default: audio and cover.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None
    no_page: Annotated[
        bool, typer.Option("--no-page", help="Write no index.html to listen to.", rich_help_panel=_OUTPUT)
    ] = False
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Name of the batch in the journal; default: the file's. Under another name everything is sent again.",
            rich_help_panel=_SENDING,
        ),
    ] = None
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Spend without asking.", rich_help_panel=_SENDING)] = False
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Check it, print the plan, spend nothing.", rich_help_panel=_SENDING),
    ] = False
    resend_failed: Annotated[
        bool, typer.Option("--resend-failed", help="Send again what failed.", rich_help_panel=_SENDING)
    ] = False
    resend_unknown: Annotated[
        bool,
        typer.Option(
            "--resend-unknown",
            help="Send again what is unknown, and perhaps pay twice: check first.",
            rich_help_panel=_SENDING,
        ),
    ] = False


@with_options
def batch(
    options: Running,
    manifest: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="The requests, one a row: .jsonl, .csv, .yaml or .toml.", show_default=False
        ),
    ],
) -> None:
    """Run a file of requests. Checks all of it first, asks before it spends, goes on where it stopped when run again.

    A row is an operation and its fields: {"op": "sonic.create_music", "key": "track-07", "mv": "sonic-v5", …}. The key
    is optional, and lets other rows use the result: {"op": "sonic.stems_basic", "clip_id": "$track-07.clip"}.
    """
    options = attrs.evolve(options, out=options.out.expanduser())
    file = manifest.expanduser()
    finish(options, lambda screen: run_batch(file, options, screen))


async def run_batch(file: Path, options: Running, screen: Screen) -> int:
    """Check, plan, ask, run; returns the exit code."""
    from ..batch import Batch, ManifestError, read_manifest  # noqa: PLC0415 - help is shown without it

    try:
        manifest = await asyncio.to_thread(read_manifest, file)
    except ManifestError as error:
        return _report_faults(screen, error.faults)
    out = options.out
    await asyncio.to_thread(check_folder, out)
    if not (options.sandbox or options.no_journal or options.journal):
        options = attrs.evolve(options, journal=await asyncio.to_thread(_journal_in, out))
    async with opened(options, screen) as music:
        running = Batch(
            music,
            manifest,
            out,
            name=options.name,
            formats=options.formats or ("audio", "cover"),  # type: ignore[arg-type]  # the batch checks these words
            template=options.template,
            timeout=options.timeout,
            resend_unknown=options.resend_unknown,
            resend_failed=options.resend_failed,
            page=not options.no_page,
            speed=screen.speed,
        )
        plan = await running.plan()
        if plan.conflicts:
            return _report_faults(screen, plan.conflicts)
        _print_plan(screen, manifest, plan, is_result=options.dry_run)
        if options.dry_run:
            return Exit.DONE
        if plan.credits and not options.yes and not await _agreed(screen, plan):
            screen.note("nothing was sent")
            return Exit.FAILED
        ended = await _run(running, plan, options, screen)
        if plan.credits:  # the balance says whether the prices were right
            with contextlib.suppress(MusicError):
                await music.credits()
    return _report_end(running, ended, options, screen)


def _journal_in(out: Path) -> Path:
    from ..batch.running import OWN_FOLDER  # noqa: PLC0415 - help is shown without it

    folder = out / OWN_FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / "jobs.db"


async def _run(running: Batch, plan: Plan, options: Running, screen: Screen) -> Sequence[Ended]:
    from .batch_view import BatchView  # noqa: PLC0415 - help is shown without it

    view = BatchView(screen, running, plan)
    try:
        with view.shown():
            return await running.run(view.report)
    except asyncio.CancelledError:
        done = sum(one.error is None for one in running.ended.values())
        again = "run the same command again to go on"
        if options.sandbox:
            again = "its sandbox ends with the command: the next run starts over, in another one"
        elif options.no_journal:
            again = "nothing was recorded: the next run starts over, and pays again"
        screen.error(f"interrupted: {done} of {len(running.rows)} rows are done; {again}")
        raise


# --- asking ----------------------------------------------------------------------------------------------------------


async def _agreed(screen: Screen, plan: Plan) -> bool:
    """Ask whether to spend. Can be cancelled."""
    if screen.as_json or not sys.stdin.isatty():
        raise ConfigurationError(f"it would spend {plan.credits} credits, and nobody is here to ask: give --yes")
    screen.err.print(f"Spend {plan.credits} credits? [y/N] ", end="")
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[bytes] = loop.create_future()

    def answer(line: bytes) -> None:
        if not answered.done():
            answered.set_result(line)

    def read() -> None:
        line = os.read(sys.stdin.fileno(), 1000)  # not through sys.stdin: at exit Python would wait for its lock
        loop.call_soon_threadsafe(answer, line)

    # A daemon thread does not keep Ctrl-C from ending the command.
    threading.Thread(target=read, daemon=True).start()
    return (await answered).strip().lower() in (b"y", b"yes")


# --- reporting -------------------------------------------------------------------------------------------------------


def _report_faults(screen: Screen, faults: Sequence[Fault]) -> int:
    for fault in faults:
        if screen.as_json:
            place = fault.place
            row = {"file": place.file, "line": place.line, "row": place.row, "field": fault.field, "fault": fault.what}
            screen.row(row)
        else:
            screen.err.print(str(fault), soft_wrap=True)
    screen.error(f"{counted(len(faults), 'fault')}; nothing was sent")
    return Exit.USAGE


def _print_plan(screen: Screen, manifest: Manifest, plan: Plan, *, is_result: bool) -> None:
    if is_result and screen.as_json:
        screen.row(plain_plan(plan))
    elif is_result or not (screen.quiet or screen.as_json):
        console = screen.out if is_result else screen.err
        for line in plan_lines(manifest, plan, speed=screen.speed):
            console.print(line, soft_wrap=True)


def _report_end(running: Batch, ended: Sequence[Ended], options: Running, screen: Screen) -> int:
    failed = sum(one.error is not None for one in ended)
    files = sum(len(one.files) for one in ended)
    summary = f"{len(ended) - failed} done, {failed} failed; {counted(files, 'file')} in {options.out}"
    screen.note(f"{summary}; {running.spent} credits, earlier runs included")
    if running.page is not None:
        screen.note(f"to listen: {running.page}")
    if unknown := [one.row.key for one in ended if one.unknown]:
        journal = f" --journal {options.journal}" if options.journal is not None else ""
        screen.error(
            f"{len(unknown)} unknown ({', '.join(unknown[:3])}{', …' if len(unknown) > 3 else ''}): check the "
            f"service's dashboard before you pay twice, then `aimusic settle KEY --group {running.name}{journal}` "
            "with --task-id ID or --not-taken, and run this again"
        )
    errors: list[BaseException | None] = [one.error for one in ended]
    code = exit_of_all(errors)
    return Exit.FAILED if code is Exit.USAGE or any(isinstance(one, InvalidRequest) for one in errors) else code
