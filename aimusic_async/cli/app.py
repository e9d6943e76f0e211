"""The commands and their options; what they do is in the modules beside this one and on the floors below."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from .. import __version__
from . import batch, jobs
from .common import Output, finish, known_prices, need_sandbox, run_on, with_options
from .exits import Exit
from .keys import config
from .platforms import Root

if TYPE_CHECKING:
    from rich.console import Console

    from .screen import Screen

app: typer.Typer = typer.Typer(
    name="aimusic",
    cls=Root,
    help="Music from the AI Music API, many songs at once. Try it without a key: aimusic demo",
    epilog=f"Exit codes: {'; '.join(f'{code.value} {code.meaning}' for code in Exit)}.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

Speed = Annotated[
    float, typer.Option(min=0.01, max=1000, help="Service seconds in one real second: 60 makes a minute a second.")
]
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
    """Accept the options of `aimusic` itself."""


for _command, _example in (
    (jobs.credits, "aimusic credits"),
    (jobs.status, "aimusic status --state unknown --state submitted"),
    (jobs.resume, "aimusic resume --group album --out songs"),
    (jobs.attach, "aimusic attach sonic.create_music TASK_ID --out songs"),
    (jobs.settle, "aimusic settle track-07 --group album --task-id TASK_ID"),
    (jobs.download, "aimusic download track-07 --group album --out songs"),
    (jobs.prune, "aimusic prune --older-than 90"),
    (batch.batch, "aimusic batch songs.jsonl --out songs"),
):
    app.command(epilog=f"Example: {_example}")(_command)
app.add_typer(config, name="config")


@app.command(epilog="Example: aimusic demo --out songs --seed 7")
@with_options
def demo(
    options: Output,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for the audio.")] = Path("out"),
    speed: Speed = 60.0,
    seed: Seed = 1,
) -> None:
    """Make songs, a remaster and stems in a sandbox on this machine: no key, no network, nothing paid."""

    async def work(screen: Screen) -> int:
        from .demo import run_demo  # noqa: PLC0415 - each command loads what it needs

        said = need_sandbox()
        console, row = _outputs(screen, "file")
        if said:
            console.print(said, highlight=False)
        return await run_demo(out.expanduser(), speed=speed, seed=seed, console=console, row=row)

    finish(options, work)


@app.command(epilog="Example: aimusic sandbox --port 8787 --speed 60")
@with_options
def sandbox(
    options: Output,
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
            help="Share of requests and tasks that fail on purpose, such as 0.1; see --seed.",
        ),
    ] = 0.0,
    http_webhooks: Annotated[
        bool, typer.Option("--http-webhooks", help="Also accept webhook addresses that are plain http to this machine.")
    ] = False,
    era: Annotated[
        Literal["seed", "today"] | None,
        typer.Option(
            help="As the service was on its first pages, or as it was read last; else what programs of both times can "
            "live with."
        ),
    ] = None,
    switch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Turn one switch, such as use_suno_cdn_required=yes or 'prices={\"sonic.create_music\": 14}'; may be "
            "given several times.",
        ),
    ] = None,
    switches: Annotated[bool, typer.Option("--switches", help="List all switches, as --era has them.")] = False,
) -> None:
    """Run the stand-in for the service until Ctrl-C, for programs that you test."""

    async def work(screen: Screen) -> int:
        from .sandbox import run_sandbox, show_switches  # noqa: PLC0415 - as above

        if switches:
            show_switches(era, _console(), screen.row if screen.as_json else None)
            return Exit.DONE
        said = need_sandbox()
        console, row = _outputs(screen, "export")
        if said:
            console.print(said, highlight=False)
        return await run_sandbox(
            host,
            port,
            speed=speed,
            seed=seed,
            credits=credits,
            faults=faults,
            http_webhooks=http_webhooks,
            era=era,
            switches=switch or (),
            console=console,
            row=row,
        )

    finish(options, work)


@app.command(epilog="Example: aimusic operations sonic.create_music")
@with_options
def operations(
    options: Output,
    name: Annotated[
        str | None,
        typer.Argument(help="One operation, to see its fields and their limits.", autocompletion=jobs.operation_names),
    ] = None,
) -> None:
    """List all operations with price and result, or the fields of one. Into a file or pipe it writes Markdown."""

    async def work(screen: Screen) -> int:
        from . import operations as listing  # noqa: PLC0415 - as above

        cls = None if name is None else jobs.operation_named(name)
        if screen.as_json:
            for row in listing.plain_rows(known_prices()) if cls is None else listing.plain_fields(cls):
                screen.row(row)
        elif cls is None:
            listing.show(_console(), known_prices())
        else:
            listing.show_fields(cls.operation, _console())
        return Exit.DONE

    finish(options, work)


webhook: typer.Typer = typer.Typer(
    help="See and check what the service delivers to a webhook. Example: aimusic webhook listen --port 8788",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
app.add_typer(webhook, name="webhook")

SecretFile = Annotated[
    Path | None,
    typer.Option(dir_okay=False, help="File that holds the webhook's secret; else AIMUSIC_WEBHOOK_SECRET does."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]


@webhook.command(epilog="Example: aimusic webhook listen --port 8788 --path /music --secret-file secret.txt")
def listen(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8788,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    path: Annotated[str, typer.Option(help="Path at which deliveries are accepted.")] = "/",
    secret_file: SecretFile = None,
    as_json: AsJson = False,
) -> None:
    """Print each delivery, checked with the secret of your WebhookConfig, until Ctrl-C."""
    from .webhook import run_listen  # noqa: PLC0415 - each command loads what it needs

    raise typer.Exit(_run(run_listen(host, port, path, secret_file=secret_file, as_json=as_json)))


@webhook.command(
    epilog="Example: aimusic webhook verify --headers headers.txt --body body.json --any-age. "
    "Exit code 0: genuine, 1: not genuine, 2: it could not be checked."
)
def verify(
    *,
    headers: Annotated[
        Path,
        typer.Option(exists=True, dir_okay=False, help="File of `Name: value` lines as curl has them, or JSON."),
    ],
    body: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="File of the bytes as they came.")],
    secret_file: SecretFile = None,
    job: Annotated[str | None, typer.Option(metavar="ID", help="The job that the address named: ?job=ID.")] = None,
    at: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Check its age as of this time (since 1970), not of now.")
    ] = None,
    any_age: Annotated[bool, typer.Option("--any-age", help="Accept it however old it is.")] = False,
    legacy: Annotated[bool, typer.Option("--legacy", help="Check the old form, X-Signature over the body.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check a delivery that was saved into files, and print what it says."""
    from .webhook import run_verify  # noqa: PLC0415 - as above

    checking = run_verify(
        headers,
        body,
        secret_file=secret_file,
        job_id=job,
        at=at,
        any_age=any_age,
        legacy=legacy,
        as_json=as_json,
    )
    raise typer.Exit(_run(checking))


def _run(work: Coroutine[Any, Any, int]) -> int:
    """Run a command without shared options and return its exit code; each error is printed as one line."""
    from .screen import Screen  # noqa: PLC0415 - help is shown without it

    return run_on(Screen(), lambda: work)


def _console(*, stderr: bool = False, quiet: bool = False) -> Console:
    from rich.console import Console  # noqa: PLC0415 - as above

    return Console(stderr=stderr, quiet=quiet, soft_wrap=True)


def _outputs(screen: Screen, result: str) -> tuple[Console, Callable[[Mapping[str, Any]], None] | None]:
    """Return the console for people, and a function that prints results, when they go elsewhere.

    `result`: the part of a result to print with `--quiet`.
    """
    if screen.as_json:
        return _console(stderr=True, quiet=screen.quiet), screen.row
    if screen.quiet:
        return _console(quiet=True), lambda row: screen.say(str(row[result])) if result in row else None
    return _console(), None
