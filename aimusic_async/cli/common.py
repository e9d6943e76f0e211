"""What all commands share: options that are declared once, a session opened from them, one way to run and to end.

A command takes an options class as its first parameter and is wrapped in `with_options`; its body calls `finish`:

    @app.command(epilog="Example: aimusic credits")
    @with_options
    def credits(options: Account) -> None:
        finish(options, lambda screen: ask(options, screen))
"""

from __future__ import annotations

import inspect
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, get_type_hints

import attrs
import typer

from ..errors import ConfigurationError
from .exits import Exit, exit_of

if TYPE_CHECKING:
    from ..journal.account import AccountJournal
    from ..session import MusicSession
    from .screen import Screen

SANDBOX_SPEED = 60.0
_OUTPUT = "Output"
_ACCOUNT = "Account and journal"


@attrs.frozen(kw_only=True)
class Output:
    """How a command prints."""

    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.", rich_help_panel=_OUTPUT)] = (
        False
    )
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print results and errors only.", rich_help_panel=_OUTPUT)
    ] = False
    debug: Annotated[
        bool, typer.Option("--debug", help="Print tracebacks, and what the library logs.", rich_help_panel=_OUTPUT)
    ] = False


def _rate(text: str) -> float:
    from ..settings import to_rate  # noqa: PLC0415 - help is shown without it

    try:
        return to_rate(text)
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from None


@attrs.frozen(kw_only=True)
class Account(Output):
    """Which account at which service, and which journal."""

    sandbox: Annotated[
        bool,
        typer.Option(
            "--sandbox",
            help="Try it in a sandbox on this machine, which ends with the command: no key, nothing paid.",
            rich_help_panel=_ACCOUNT,
        ),
    ] = False
    key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File that holds the API key, unless AIMUSIC_API_KEY does; see `aimusic config`.",
            rich_help_panel=_ACCOUNT,
        ),
    ] = None
    base_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Address of the service; else AIMUSIC_BASE_URL.", rich_help_panel=_ACCOUNT),
    ] = None
    rate: Annotated[
        float | None,
        typer.Option(
            parser=_rate,
            metavar="RATE",
            help="Requests per second of the account's plan, such as 0.5 or 1/3; else AIMUSIC_RATE, else 1/3.",
            rich_help_panel=_ACCOUNT,
        ),
    ] = None
    capacity: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="COUNT",
            help="Requests that the plan takes at once after a quiet time; else AIMUSIC_CAPACITY, else 1.",
            rich_help_panel=_ACCOUNT,
        ),
    ] = None
    proxy: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Proxy for the service and for files, or `none`; else AIMUSIC_PROXY, else HTTPS_PROXY.",
            rich_help_panel=_ACCOUNT,
        ),
    ] = None
    ca_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Certificates to trust beside the system's; else AIMUSIC_CA_FILE.",
            rich_help_panel=_ACCOUNT,
        ),
    ] = None
    journal: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File in which jobs are recorded; `aimusic config` shows the default.",
            rich_help_panel=_ACCOUNT,
        ),
    ] = None
    account: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Name of the account in the journal, when one journal serves several accounts.",
            rich_help_panel=_ACCOUNT,
        ),
    ] = "default"
    price: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OPERATION=CREDITS",
            help="What an operation costs today, such as sonic.create_music=14, or 'sonic.create_music sonic-v5=12' "
            "for one model; may be given several times. Else AIMUSIC_PRICES.",
            rich_help_panel=_ACCOUNT,
        ),
    ] = None

    @property
    def prices(self) -> dict[str, int]:
        """The prices that differ; raises `ConfigurationError` for what is no price."""
        return known_prices(self.price or ())


@attrs.frozen(kw_only=True)
class Going(Account):
    """What jobs may cost, and where their files go."""

    budget: Annotated[
        int | None,
        typer.Option(min=0, metavar="CREDITS", help="Spend at most this many credits.", rich_help_panel=_ACCOUNT),
    ] = None
    out: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            metavar="FOLDER",
            help="Save audio and other files there; the folder is created when missing.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None


@attrs.frozen(kw_only=True)
class Work(Going):
    """The same for new jobs: with or without a journal, and how long to wait for them."""

    no_journal: Annotated[
        bool,
        typer.Option("--no-journal", help="Record nothing; what is lost then stays lost.", rich_help_panel=_ACCOUNT),
    ] = False
    timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Longest wait for a job, from its acceptance by the service; it can be resumed later.",
            rich_help_panel=_ACCOUNT,
        ),
    ] = None


# --- options -> parameters -------------------------------------------------------------------------------------------


def option_parameters(options: type[Output]) -> list[inspect.Parameter]:
    """Return the options of a class as parameters, for Typer to read."""
    hints = get_type_hints(options, include_extras=True)
    return [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in attrs.fields(options)
    ]


def with_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of the class that its first parameter takes."""
    first, *own = inspect.signature(function, eval_str=True).parameters.values()
    return command_of(function, first.annotation, own)


def command_of(
    function: Callable[..., None], options: type[Output], own: list[inspect.Parameter]
) -> Callable[..., None]:
    """Return a function with the parameters `own` and those of `options`, which calls `function(options, **own)`."""
    shared = option_parameters(options)
    names = {parameter.name for parameter in shared}

    def command(**given: Any) -> None:
        taken = {name: given.pop(name) for name in names}
        function(options(**taken), **given)

    command.__name__, command.__doc__ = function.__name__, function.__doc__
    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*own, *shared)]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # Typer reads it
    return command


# --- running ---------------------------------------------------------------------------------------------------------


def finish(options: Output, work: Callable[[Screen], Coroutine[Any, Any, int]]) -> NoReturn:
    """Run a command's work in an event loop and end with its exit code; each error is printed as one line."""
    from .screen import Screen  # noqa: PLC0415 - help is shown without it

    sandbox = isinstance(options, Account) and options.sandbox
    screen = Screen(as_json=options.as_json, quiet=options.quiet, debug=options.debug, sandbox=sandbox)
    raise typer.Exit(run_on(screen, lambda: work(screen)))


def run_on(screen: Screen, work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run a command's work and return its exit code; errors are printed."""
    from ..running import run  # noqa: PLC0415 - asyncio is not needed for help

    try:
        with screen.logging():
            return run(work())
    except SystemExit as ended:
        if ended.code == Exit.TERMINATED:
            screen.error(f"terminated{screen.outlook()}")
        return int(ended.code or 0)
    except BrokenPipeError:  # the reader of the output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILED
    except BaseException as error:  # noqa: BLE001 - here every error becomes a line and a code
        return _report(screen, error)


def _report(screen: Screen, error: BaseException) -> int:
    leaves = list(_leaves(error))
    if any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves):
        screen.error(f"interrupted{screen.outlook()}")
        return Exit.INTERRUPTED
    for leaf in leaves:
        screen.fault(leaf)
    return max(exit_of(leaf) for leaf in leaves)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error


# --- sessions and journals -------------------------------------------------------------------------------------------


@asynccontextmanager
async def opened(options: Account, screen: Screen) -> AsyncIterator[MusicSession]:
    """Open the session that the options ask for: with a journal, unless they say otherwise; or in a sandbox."""
    from ..journal.memory import MemoryJournal  # noqa: PLC0415 - help is shown without it
    from ..session import MusicSession  # noqa: PLC0415 - as above
    from ..settings import SPEED, Settings  # noqa: PLC0415 - as above

    budget = options.budget if isinstance(options, Going) else None
    keeps = not (isinstance(options, Work) and options.no_journal)
    if options.journal is not None and not keeps:
        raise ConfigurationError("give --journal or --no-journal, not both")
    if options.sandbox:
        if said := need_sandbox():
            screen.note(said)
        plan = Settings.load(api_key="none", base_url="http://localhost", rate=options.rate, capacity=options.capacity)
        screen.speed = plan.speed
        if SPEED not in os.environ:
            screen.speed = SANDBOX_SPEED
        journal = MemoryJournal() if keeps else None
        async with MusicSession.sandbox(
            speed=screen.speed,
            rate=plan.rate,
            capacity=plan.capacity,
            journal=journal,
            budget=budget,
            prices=options.prices,
        ) as music:
            yield music
        return
    settings = Settings.load(
        api_key=_key(options, screen),
        base_url=options.base_url,
        prices=options.prices,
        rate=options.rate,
        capacity=options.capacity,
        proxy=options.proxy,
        ca_file=options.ca_file,
    )
    screen.has_journal, screen.speed = keeps, settings.speed
    file = _journal_path(options) if keeps else None
    async with MusicSession(settings=settings, journal=file, account=options.account, budget=budget) as music:
        yield music


@asynccontextmanager
async def opened_journal(options: Account, screen: Screen) -> AsyncIterator[AccountJournal]:
    """Open the journal alone; nothing is sent. The key finds the jobs that earlier versions kept by it."""
    from ..journal.account import AccountJournal, open_file  # noqa: PLC0415 - help is shown without it
    from ..journal.memory import MemoryJournal  # noqa: PLC0415 - as above
    from ..journal.record import account_id, key_hash  # noqa: PLC0415 - as above
    from ..settings import Settings, scheme_and_host  # noqa: PLC0415 - as above

    if options.sandbox:
        yield AccountJournal(MemoryJournal(), "sandbox", _nothing_waits)
        return
    settings = Settings.load(api_key=_key(options, screen), base_url=options.base_url)
    account = account_id(options.account, scheme_and_host(settings.base_url)[1])
    if options.journal is not None and not options.journal.expanduser().exists():
        raise ConfigurationError(f"there is no journal {options.journal}")
    async with open_file(_journal_path(options), account, key_hash(settings.api_key)) as journal:
        yield AccountJournal(journal, account, _nothing_waits)


async def _nothing_waits() -> None:
    """Nobody else writes into a journal that was opened by itself."""


def _key(options: Account, screen: Screen) -> str:
    from .config import find_key  # noqa: PLC0415 - a sandbox needs none

    place = find_key(options.key_file)
    if options.key_file is not None and place.name != "key_file":
        screen.error(f"warning: {place.where} is set and takes precedence over --key-file, which was not read")
    assert place.key is not None
    return place.key


def _journal_path(options: Account) -> Path:
    from .config import default_journal  # noqa: PLC0415 - as above

    if options.journal is not None:
        return options.journal.expanduser()
    path = default_journal()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def known_prices(given: Iterable[str] = ()) -> dict[str, int]:
    """Return the prices of AIMUSIC_PRICES and those `given`, which go first; raises `ConfigurationError`."""
    from ..api.pricing import check_prices  # noqa: PLC0415 - as above
    from ..settings import PRICES, read_prices  # noqa: PLC0415 - as above

    prices = read_prices((*os.environ.get(PRICES, "").split(","), *given))
    check_prices(prices)
    return prices


def need_sandbox() -> str:
    """Raise `ConfigurationError` when the sandbox's libraries are not installed; return what to say of its songs."""
    from ..sandbox import formats  # noqa: PLC0415 - only sandboxes need it

    if why := formats.missing():
        raise ConfigurationError(why)
    return formats.note()


def check_folder(folder: Path) -> None:
    """Create a folder and check that it can be written, before anything is paid for. Blocks."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ConfigurationError(f"cannot write into {folder}: {error.strerror}") from error
