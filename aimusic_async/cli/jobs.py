"""The commands about the account and its jobs: credits, status, settle, prune, resume, attach, download."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigurationError, MusicError
from ..events import JobState
from .common import Account, Going, Work, check_folder, finish, opened, opened_journal, with_options
from .exits import Exit, exit_of_all

if TYPE_CHECKING:
    from ..api.request import Request
    from ..journal.record import JobRecord
    from .screen import Screen

Group = Annotated[str | None, typer.Option(metavar="NAME", help="Only the jobs of this group.")]
KEY_OR_TASK = "Key of a job, or its task id."


def operation_names(incomplete: str) -> list[str]:
    """Return the operations whose names begin with this, for shell completion."""
    from ..api.operations import operations  # noqa: PLC0415 - loads every operation

    return [name for name in operations() if name.startswith(incomplete)]


Operation = Annotated[
    str, typer.Argument(help="Such as sonic.create_music; see `aimusic operations`.", autocompletion=operation_names)
]


def operation_named(name: str) -> type[Request[Any]]:
    """Return the request class of a name in any spelling: sonic.create_music, sonic.CreateMusic, …

    Raises `ConfigurationError`, which suggests a name.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - only a wrong name needs it

    from ..api.operations import operations  # noqa: PLC0415 - loads every operation

    known = operations()
    plain = name.strip().lower().replace("-", "_").replace(" ", ".")
    for operation, cls in known.items():
        platform, _, word = operation.partition(".")
        if plain in (operation, f"{platform}.{word.replace('_', '')}"):
            return cls
    close = get_close_matches(plain, known, n=1)
    meant = f"did you mean {close[0]}?" if close else "`aimusic operations` lists them"
    raise ConfigurationError(f"there is no operation {name!r}; {meant}")


# --- credits ---------------------------------------------------------------------------------------------------------


@with_options
def credits(options: Account) -> None:  # noqa: A001 - the command's name
    """Show how many credits the account has left. Free."""

    async def work(screen: Screen) -> int:
        async with opened(options, screen) as music:
            left = await music.credits()
        if screen.as_json:
            screen.row({"credits": left.credits, "extra_credits": left.extra_credits, "total": left.total})
        else:
            screen.say(f"{left.total} credits ({left.credits} of the subscription, {left.extra_credits} extra)")
        return Exit.DONE

    finish(options, work)


# --- the journal -----------------------------------------------------------------------------------------------------


@with_options
def status(
    options: Account,
    *,
    state: Annotated[
        list[str] | None,
        typer.Option(metavar="STATE", help="Only jobs in this state, such as unknown; may be given several times."),
    ] = None,
    group: Group = None,
) -> None:
    """List the jobs in the journal. Sends nothing."""

    async def work(screen: Screen) -> int:
        async with opened_journal(options, screen) as journal:
            records = await journal.jobs(group=group, state=state or None)
        if screen.as_json:
            from .plain import plain_record  # noqa: PLC0415 - where it is needed

            for record in records:
                screen.row(plain_record(record))
        else:
            _list(screen, records)
        return Exit.DONE

    finish(options, work)


_TROUBLED = frozenset({JobState.QUEUED, JobState.FAILED, JobState.UNKNOWN})
"""States in which the last error still matters."""


def _list(screen: Screen, records: Sequence[JobRecord]) -> None:
    from rich.table import Table  # noqa: PLC0415 - where it is needed
    from rich.text import Text  # noqa: PLC0415 - as above

    from .plain import moment  # noqa: PLC0415 - as above
    from .show import safe  # noqa: PLC0415 - as above

    rows = [
        [
            safe(f"{record.group}/{record.key}" if record.group else record.key),
            str(record.state),
            safe(record.task_id or "-"),
            str(record.credits),
            moment(record.updated)[:16].replace("T", " "),
            safe(record.error or "") if record.state in _TROUBLED else "",
        ]
        for record in records
    ]
    if screen.out.is_terminal and screen.out.width >= 100:
        table = Table("Job", "State", "Task", "Credits", "Changed (UTC)", "Error", box=None, pad_edge=False)
        for row in rows:
            table.add_row(*map(Text, row))
        screen.out.print(table)
    else:
        for row in rows:
            screen.say("  ".join(filter(None, row)))
    counts = Counter(str(record.state) for record in records)
    summary = ", ".join(f"{count} {state}" for state, count in counts.items()) or "no jobs"
    screen.note(f"{summary}; {sum(record.credits for record in records)} credits")
    if counts["unknown"]:
        screen.note(
            "unknown: check the service's dashboard, then `aimusic settle KEY` with --task-id ID or --not-taken"
        )


@with_options
def settle(
    options: Account,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Key of the unknown job; `aimusic status` lists it.")],
    *,
    group: Annotated[str, typer.Option(metavar="NAME", help="Its group, if it is in one.")] = "",
    task_id: Annotated[
        str | None, typer.Option(metavar="ID", help="The service took it, and this is its task there.")
    ] = None,
    not_taken: Annotated[
        bool,
        typer.Option("--not-taken", help="The service does not have it, or not any more: it can be sent again."),
    ] = False,
) -> None:
    """Record what became of a job whose answer was lost, after you checked the service's dashboard. Sends nothing."""

    async def work(screen: Screen) -> int:
        if (task_id is None) != not_taken:
            raise ConfigurationError("say what became of it: --task-id ID, or --not-taken")
        async with opened_journal(options, screen) as journal:
            record = await journal.settle(key, group=group, task_id=task_id)
        if screen.as_json:
            from .plain import plain_record  # noqa: PLC0415 - where it is needed

            screen.row(plain_record(record))
        else:
            from .show import safe  # noqa: PLC0415 - as above

            screen.say(f"{safe(record.key)} is {record.state}")
        if record.state is JobState.FAILED:
            screen.note("its task is given up; submit it again with --resend-failed, which costs credits")
        else:
            goes_on = "waits for what comes" if task_id else "sends it, which costs credits"
            screen.note(f"`aimusic resume` {goes_on}")
        return Exit.DONE

    finish(options, work)


@with_options
def prune(
    options: Account,
    older_than: Annotated[
        float, typer.Option(min=0, metavar="DAYS", help="Only jobs that ended longer ago than this.")
    ] = 30.0,
) -> None:
    """Remove jobs that ended from the journal. Jobs that are queued, running or unknown stay."""

    async def work(screen: Screen) -> int:
        async with opened_journal(options, screen) as journal:
            count = await journal.prune(older_than * 86400)
        if screen.as_json:
            screen.row({"removed": count})
        else:
            screen.say(f"{count} jobs removed")
        return Exit.DONE

    finish(options, work)


# --- going on --------------------------------------------------------------------------------------------------------


@with_options
def resume(
    options: Going,
    group: Group = None,
) -> None:
    """Go on with all open jobs in the journal: send what waits, wait for what runs."""

    async def work(screen: Screen) -> int:
        from .outcomes import progress, see_through  # noqa: PLC0415 - help is shown without it

        await _check_out(options)
        async with opened(options, screen) as music:
            screen.again = "`aimusic resume` sends them"
            with progress(screen, music):
                screen.jobs += await music.resume(group)
                code = await see_through(screen, music, screen.jobs, options.out) if screen.jobs else Exit.DONE
            unknown = await music.journal.jobs(group=group, state="unknown")
        if not screen.jobs:
            screen.note("nothing is open")
        if unknown:
            keys = ", ".join(record.key for record in unknown[:3]) + (", …" if len(unknown) > 3 else "")
            screen.error(f"{len(unknown)} unknown ({keys}): check before you pay twice, then `aimusic settle KEY`")
            return Exit.UNKNOWN
        return code

    finish(options, work)


@with_options
def attach(
    options: Work,
    operation: Operation,
    task_id: Annotated[str, typer.Argument(metavar="TASK_ID", help="The id that the service gave.")],
    *,
    key: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name for it in the journal, unless it is there already.")
    ] = None,
) -> None:
    """Wait for a task that the service already has, whoever started it, and show its result."""

    async def work(screen: Screen) -> int:
        from .outcomes import progress, see_through  # noqa: PLC0415 - help is shown without it

        cls = operation_named(operation)
        await _check_out(options)
        async with opened(options, screen) as music:
            with progress(screen, music):
                screen.jobs.append(music.attach(cls, task_id, timeout=options.timeout, key=key))
                return await see_through(screen, music, screen.jobs, options.out)

    finish(options, work)


# --- fetching --------------------------------------------------------------------------------------------------------


@with_options
def download(
    options: Account,
    names: Annotated[list[str] | None, typer.Argument(metavar="JOB", help=KEY_OR_TASK)] = None,
    *,
    group: Group = None,
    all_jobs: Annotated[bool, typer.Option("--all", help="All finished jobs in the journal.")] = False,
    out: Annotated[
        Path, typer.Option(file_okay=False, metavar="FOLDER", help="Folder for the files; created when missing.")
    ] = Path("out"),
) -> None:
    """Save the files of finished jobs that the journal knows. For other tasks: `aimusic attach … --out FOLDER`."""

    async def work(screen: Screen) -> int:
        from ..api.results import WITH_FILES  # noqa: PLC0415 - help is shown without it
        from .outcomes import save, show  # noqa: PLC0415 - as above
        from .plain import plain_error, plain_record  # noqa: PLC0415 - as above

        if not names and group is None and not all_jobs:
            raise ConfigurationError("name jobs by key or task id, or give --group NAME or --all")
        await _in_thread(check_folder, out.expanduser())
        async with opened_journal(options, screen) as journal:
            records = _chosen(await journal.jobs(group=group, state="succeeded"), names or ())
        errors: list[BaseException | None] = []
        async with opened(options, screen) as music:
            for record in records:
                error: BaseException | None = None
                result, files = None, list[Path]()
                try:
                    result = kept_result(record)
                    if not names and not isinstance(result, WITH_FILES):
                        continue
                    files = await save(screen, music, result, out.expanduser())
                except (MusicError, OSError) as trouble:
                    error = trouble
                errors.append(error)
                if screen.as_json:
                    row = {**plain_record(record), "files": [str(path) for path in files]}
                    screen.row({**row, "error": None if error is None else plain_error(error)})
                elif result is not None:
                    show(screen, result, files)
                if error is not None:
                    screen.fault(error)
        if not errors:
            screen.note("nothing to save")
        return exit_of_all(errors)

    finish(options, work)


def _chosen(records: Sequence[JobRecord], names: Sequence[str]) -> Sequence[JobRecord]:
    """Return the records of these keys or task ids, or all; raises `ConfigurationError` for an unknown name."""
    known = {name for record in records for name in (record.key, record.task_id)}
    for name in names:
        if name not in known:
            raise ConfigurationError(
                f"the journal has no finished job {name!r}; a task that is not in it: "
                "`aimusic attach OPERATION TASK_ID --out FOLDER`"
            )
    return [record for record in records if not names or {record.key, record.task_id} & set(names)]


def kept_result(record: JobRecord) -> Any:
    """Return the result of a job that has succeeded, from its record; raises `MusicError` when it holds none."""
    from ..api.operations import operations  # noqa: PLC0415 - loads every operation
    from ..api.plain import request_from_plain  # noqa: PLC0415 - as above
    from ..api.wire import Reply, read_now, read_task  # noqa: PLC0415 - as above

    reply = Reply(status=200, body=json.loads(record.answer or "null"))
    if record.task_id is None:
        result = read_now(request_from_plain(record.fields()), reply)
    else:
        result = read_task(operations()[record.operation], record.task_id, reply).result
    if result is None:
        raise MusicError(f"{record.key}: its answer in the journal holds no result")
    return result


async def _check_out(options: Going) -> None:
    if options.out is not None:
        await _in_thread(check_folder, options.out)


async def _in_thread(function: Any, *args: Any) -> None:
    import asyncio  # noqa: PLC0415 - help is shown without it

    await asyncio.to_thread(function, *args)
