"""The commands and their options; what they do is in the modules beside this one and on the floors below."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from .. import __version__
from ..errors import ConfigurationError, MusicError

INTERRUPTED = 130
TERMINATED = 143

app: typer.Typer = typer.Typer(
    name="aimusic",
    help="Music from the AI Music API, many songs at once. Try it without a key: aimusic demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

Speed = Annotated[float, typer.Option(min=0.01, max=1000, help="Service seconds in one second: 60 makes a minute one.")]
Seed = Annotated[int, typer.Option(help="The same seed makes the same songs.")]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"aimusic-async {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """Take the options that every command has."""


@app.command(epilog="Example: aimusic demo --out songs --seed 7")
def demo(
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for the audio; made when missing.")] = Path("out"),
    speed: Speed = 60.0,
    seed: Seed = 1,
) -> None:
    """Make songs, a remaster and stems in a sandbox on this machine: no key, no network, nothing paid."""
    from .demo import run_demo  # noqa: PLC0415 - each command loads what it needs

    _need_sandbox()
    raise typer.Exit(_run(run_demo(out.expanduser(), speed=speed, seed=seed, console=Console())))


@app.command(epilog="Example: aimusic sandbox --port 8787 --speed 60")
def sandbox(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8787,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    speed: Speed = 1.0,
    seed: Seed = 0,
    credits: Annotated[int, typer.Option(min=0, help="Credits of the account at the start.")] = 10_000,  # noqa: A002
    faults: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            metavar="SHARE",
            help="Share of requests and tasks that go wrong on purpose, as 0.1; see --seed.",
        ),
    ] = 0.0,
) -> None:
    """Run the stand-in for the service until Ctrl-C, for programs that you test."""
    from .sandbox import run_sandbox  # noqa: PLC0415 - as above

    _need_sandbox()
    raise typer.Exit(
        _run(
            run_sandbox(
                host, port, speed=speed, seed=seed, credits=credits, faults=faults, console=Console(soft_wrap=True)
            )
        )
    )


@app.command(epilog="Example: aimusic operations sonic.create_music")
def operations(
    name: Annotated[str | None, typer.Argument(help="One operation, to see its fields and their limits.")] = None,
) -> None:
    """List all operations with price and result, or the fields of one. Into a file or pipe it writes Markdown."""
    from .operations import show, show_fields  # noqa: PLC0415 - as above

    if name is None:
        show(Console())
    elif not show_fields(name, Console()):
        _complain(f"there is no operation {name!r}: `aimusic operations` lists them")
        raise typer.Exit(2)


def _need_sandbox() -> None:
    missing = [name for name in ("numpy", "lameenc", "mido", "PIL") if importlib.util.find_spec(name) is None]
    if missing:
        _complain(f"the sandbox needs the extra `sandbox` ({', '.join(missing)}): pip install 'aimusic-async[sandbox]'")
        raise typer.Exit(2)


def _run(work: Coroutine[Any, Any, int]) -> int:
    """Run a command and return its exit code; errors are one line each that says what to do."""
    code = 0
    try:
        code = asyncio.run(_until_terminated(work))
    except* KeyboardInterrupt:
        _complain("interrupted")
        code = INTERRUPTED
    except* asyncio.CancelledError:
        _complain("terminated")
        code = TERMINATED
    except* ConfigurationError as errors:
        code = _complain_of(errors, 2)
    except* (MusicError, OSError) as errors:
        code = _complain_of(errors, 1)
    return code


async def _until_terminated(work: Coroutine[Any, Any, int]) -> int:
    """Let SIGTERM end the work as Ctrl-C does: tidily."""
    task = asyncio.current_task()
    assert task is not None
    with contextlib.suppress(NotImplementedError):  # Windows has no such signal
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work


def _complain_of(errors: BaseExceptionGroup[BaseException], code: int) -> int:
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            _complain_of(error, code)
        else:
            _complain(str(error))
    return code


def _complain(text: str) -> None:
    typer.echo(f"aimusic: {text}", err=True)
