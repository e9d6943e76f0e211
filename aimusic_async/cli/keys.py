"""`aimusic config`: shows where the key comes from and where files are kept; `set-key` keeps a key, never shown."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import typer

from ..errors import ConfigurationError
from .common import Account, Output, finish, with_options
from .exits import Exit

if TYPE_CHECKING:
    from .screen import Screen

config: typer.Typer = typer.Typer(
    help="Show where the API key comes from, and keep one.",
    epilog="Example: aimusic config. The key itself is never shown.",
    invoke_without_command=True,
    rich_markup_mode="rich",
)


@config.callback()
@with_options
def show(options: Account, ctx: typer.Context) -> None:
    """Show where the API key comes from, and keep one."""
    if ctx.invoked_subcommand is None:
        finish(options, lambda screen: _show(options, screen))


async def _show(options: Account, screen: Screen) -> int:
    from ..settings import BASE_URL, DEFAULT_BASE_URL  # noqa: PLC0415 - where it is needed
    from .config import default_journal, places  # noqa: PLC0415 - as above
    from .show import safe  # noqa: PLC0415 - as above

    found = places(options.key_file)
    used = next((place for place in found if place.key is not None or place.problem), None)
    url = options.base_url or os.environ.get(BASE_URL) or DEFAULT_BASE_URL
    journal = options.journal or default_journal()
    rows: list[dict[str, Any]] = []
    for place in found:
        state = "refused" if place.problem else "set" if place.key is not None else "not set"
        rows.append({"source": place.name, "where": place.where, "state": state, "used": place is used})
    if screen.as_json:
        source = used.name if used is not None and used.key is not None else None
        screen.row({"key": source, "places": rows, "base_url": url, "journal": str(journal)})
    else:
        screen.say("API key, the first that is set wins:")
        for row in rows:
            mark = " <- used" if row["used"] and row["state"] == "set" else ""
            screen.say(f"  {row['source']:<12} {safe(row['where'])}  {row['state']}{mark}")
        screen.say(f"service  {safe(url)}")
        screen.say(f"journal  {safe(journal)}")
    if used is not None and used.problem:
        screen.error(used.problem)
        return Exit.USAGE
    if used is None:
        screen.note("no key yet: `aimusic config set-key` keeps one")
    return Exit.DONE


@config.command("set-key", epilog="Example: aimusic config set-key, or: aimusic config set-key < key.txt")
@with_options
def set_key(options: Output) -> None:
    """Keep an API key in a file that only you can read. It is asked for without echo, or read from stdin."""
    if sys.stdin.isatty():
        from getpass import getpass  # noqa: PLC0415 - a pipe needs no prompt

        try:
            key = getpass("API key (not shown): ")
        except EOFError:
            key = ""
    else:
        key = sys.stdin.readline(5000)
    finish(options, lambda screen: _set_key(key.strip(), screen))


async def _set_key(key: str, screen: Screen) -> int:
    from ..settings import API_KEY  # noqa: PLC0415 - where it is needed
    from .config import config_key_file, keep_key  # noqa: PLC0415 - as above
    from .show import safe  # noqa: PLC0415 - as above

    path = config_key_file()
    try:
        keep_key(key, path)
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror}") from error
    if screen.as_json:
        screen.row({"kept": str(path)})
    else:
        screen.say(f"kept in {safe(path)}, which only you can read")
    if os.environ.get(API_KEY):
        screen.note(f"{API_KEY} is set, and takes precedence over it")
    return Exit.DONE
