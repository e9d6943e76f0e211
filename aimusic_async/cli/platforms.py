"""Commands that are built when they are used: a group for each platform, a command for each of its request classes.

Options, price and help come from the class; nothing about an operation is written here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from .exits import Exit


class LazyGroup(TyperGroup):
    """A group that knows the names of its commands, and builds each when it is needed."""

    names: Callable[[], list[str]] = staticmethod(list)
    """Names of the commands that can be built."""
    make: Callable[[str], Any] = staticmethod(lambda _: None)
    """Builds the command of one of these names."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - Click's own signature
        """Return the names of all commands, in order."""
        return list(dict.fromkeys((*self.commands, *self.names())))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, built now if need be; names may be spelled with underscores, as in Python."""
        name = cmd_name.replace("_", "-")
        found = super().get_command(ctx, name)
        if found is None and name in self.names():
            found = self.commands[name] = self.make(name)
        return found

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command of a name, or suggest a similar one."""
        wanted = args[0]
        if not wanted.startswith("-") and not ctx.resilient_parsing and self.get_command(ctx, wanted) is None:
            close = get_close_matches(wanted.replace("_", "-"), self.list_commands(ctx), n=1)
            ctx.fail(f"there is no command {wanted!r}" + (f"; did you mean {close[0]}?" if close else ""))
        return super().resolve_command(ctx, args)


class Root(LazyGroup):
    """The whole command line; wrong usage prints one line to stderr."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.names: Callable[[], list[str]] = _platform_names
        self.make: Callable[[str], Any] = _platform

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line and exit; wrong usage prints one line."""
        try:
            code = super().main(
                args, prog_name, complete_var, standalone_mode=False, windows_expand_args=windows_expand_args, **extra
            )
        except typer.Abort:
            typer.echo("aimusic: interrupted", err=True)
            code = Exit.INTERRUPTED
        except Exception as error:
            if not hasattr(error, "format_message"):  # only what Click raises for wrong usage has it
                raise
            code = _report_usage(error)
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else Exit.DONE)
        return code


def _report_usage(error: Any) -> int:
    from .show import safe  # noqa: PLC0415 - only mistakes need it

    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return Exit.USAGE
    words = error.format_message()
    if possibilities := getattr(error, "possibilities", None):
        name = getattr(error, "option_name", None)  # versions of Click word it differently
        said = error.message if name is None else f"No such option: {name}"
        words = f"{said}; did you mean {possibilities[0]}?"
    context = getattr(error, "ctx", None)
    where = f" (see `{context.command_path} --help`)" if context is not None else ""
    words = words.replace("Value error, ", "").rstrip(".")  # some versions of Typer put it before the message
    typer.echo(f"aimusic: {safe(words + where)}", err=True)
    return Exit.USAGE


def _platform_names() -> list[str]:
    from ..api.operations import operations  # noqa: PLC0415 - loads every operation

    return list(dict.fromkeys(name.partition(".")[0] for name in operations()))


def _platform(name: str) -> Any:
    kind = typer.Typer(
        cls=LazyGroup,
        name=name,
        help=_about(name),
        epilog=f"Example: aimusic {name} {_command_names(name)[0]} --help",
        no_args_is_help=True,
        rich_markup_mode="rich",
        add_completion=False,
    )
    group: Any = get_group(kind)
    group.rich_help_panel = "Operations"
    group.names = lambda: _command_names(name)
    group.make = lambda command: _command(name, command)
    return group


def _about(platform: str) -> str:
    from .. import methods  # noqa: PLC0415 - not every command needs it
    from ..api import account  # noqa: PLC0415 - as above

    doc = getattr(methods, platform.capitalize(), account).__doc__ or ""
    words = doc.partition("\n")[0].rpartition("`: ")[2]
    return words[:1].upper() + words[1:]


def _command_names(platform: str) -> list[str]:
    from ..api.operations import operations  # noqa: PLC0415 - loads every operation

    parts = (name.partition(".") for name in operations())
    return [command.replace("_", "-") for one, _, command in parts if one == platform]


def _command(platform: str, name: str) -> Any:
    from ..api.operations import operations  # noqa: PLC0415 - as above
    from .requests import command_for, epilog_for, help_for  # noqa: PLC0415 - as above

    cls = operations()[f"{platform}.{name.replace('-', '_')}"]
    alone = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
    alone.command(name, help=help_for(cls), epilog=epilog_for(cls))(command_for(cls))
    return get_command(alone)
