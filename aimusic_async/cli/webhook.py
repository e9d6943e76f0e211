"""`aimusic webhook`: prints the service's deliveries as they come, and checks a saved one.

What a delivery says is a stranger's text: it reaches a terminal only through `_printable`, or as ASCII JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import os
import re
import stat
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import typer
from aiohttp import web

from ..api.sonic import CreateMusic
from ..api.wire import read_task
from ..callbacks import WebhookConfig
from ..errors import (
    ApiError,
    ConfigurationError,
    InvalidPayload,
    InvalidRequest,
    InvalidSignature,
    StaleTimestamp,
    WebhookError,
)
from ..events import Event, Events, Verdict, WebhookReceived, logger
from ..webhooks import WebhookEvent, aiohttp_handler, parse
from ..webhooks.signature import OLD_SIGNATURE, SIGNATURE, TOLERANCE

SECRET = "AIMUSIC_WEBHOOK_SECRET"  # noqa: S105 - the name of a variable, not what is in it

_LONGEST = 300  # characters of one thing on a line
_START_LINE = re.compile(r"HTTP/[\d.]+ \d+.*|[A-Z]+ \S+ HTTP/[\d.]+")
_VERDICTS: Sequence[tuple[type[WebhookError], Verdict]] = (
    (InvalidSignature, Verdict.UNSIGNED),
    (StaleTimestamp, Verdict.STALE),
    (InvalidPayload, Verdict.MALFORMED),
)

Pairs = list[tuple[str, str]]


# --- listening -------------------------------------------------------------------------------------------------------


async def run_listen(host: str, port: int, path: str, *, secret_file: Path | None, as_json: bool) -> int:
    """Accept deliveries and print a line for each until cancelled; returns the exit code."""
    secret = await asyncio.to_thread(_secret, secret_file)
    lines = asyncio.Queue[str]()
    inbox = _Inbox(_config(secret), lambda seen: lines.put_nowait(_as_json(seen) if as_json else _as_line(seen)))
    try:
        async with _silenced(), _served(aiohttp_handler(inbox), host, port, f"/{path.lstrip('/')}") as url:
            typer.echo(f"Deliveries are accepted at {url}; Ctrl-C ends it.", err=True)
            with contextlib.suppress(asyncio.CancelledError):
                while True:
                    _say(await lines.get())
        while not lines.empty():
            _say(lines.get_nowait())
    except BrokenPipeError:  # the reader of the lines has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


@contextlib.asynccontextmanager
async def _silenced() -> AsyncIterator[None]:
    """Keep the log off the terminal: the lines show every verdict, and aiohttp's log is about strangers' bytes."""
    loggers = (logger, *(logging.getLogger(f"aiohttp.{name}") for name in ("server", "web", "access")))
    for one in loggers:
        one.disabled = True
    try:
        yield
    finally:
        for one in loggers:
            one.disabled = False


@contextlib.asynccontextmanager
async def _served(door: Callable[[web.Request], Any], host: str, port: int, path: str) -> AsyncIterator[str]:
    """Serve a door at one path; yields its address. Raises `ConfigurationError` when it cannot listen there."""

    async def route(request: web.Request) -> web.StreamResponse:
        if request.path == path:
            answer: web.StreamResponse = await door(request)
            return answer
        if request.method == "POST":
            came = _printable(request.path)
            typer.echo(f"aimusic: somebody posted to {came}; deliveries are accepted at {path}, see --path", err=True)
        return web.Response(status=404)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", route)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigurationError(
                f"cannot listen on {host}:{port}: {reason}; choose another --port (0 takes a free one)"
            ) from error
        bound, number = runner.addresses[0][:2]
        yield f"http://[{bound}]:{number}{path}" if ":" in bound else f"http://{bound}:{number}{path}"
    finally:
        await runner.cleanup()


@attrs.define(eq=False)
class _Inbox:
    """The `Recipient` behind the door: reports every delivery once, accepted or refused."""

    config: WebhookConfig
    report: Callable[[dict[str, Any]], None]
    events: Events = attrs.field(factory=Events)
    _latest: WebhookEvent | None = None

    def __attrs_post_init__(self) -> None:
        self.events.listen(self._heard)

    def webhook_secret(self, job_id: str | None) -> str | None:
        """See `webhooks.Recipient.webhook_secret`."""
        return self.config.secret if job_id is None else self.config.secret_for(job_id)

    async def deliver(self, event: WebhookEvent, job_id: str | None) -> bool:  # noqa: ARG002 - the verdict names the job
        """See `webhooks.Recipient.deliver`."""
        self._latest = event
        return True

    def _heard(self, received: Event) -> None:
        if not isinstance(received, WebhookReceived):
            return
        event, self._latest = self._latest, None  # the verdict follows a delivery at once, before another comes
        said = {"id": received.id, "event": received.event, "task_id": received.task_id}
        self.report(
            {
                "time": round(time.time(), 3),
                "verdict": str(received.verdict),
                "reason": received.reason or None,
                "job_id": received.job_id,
                **_facts(event),
                **said,
            }
        )


# --- checking a saved one --------------------------------------------------------------------------------------------


async def run_verify(
    headers: Path,
    body: Path,
    *,
    secret_file: Path | None,
    job_id: str | None,
    at: float | None,
    any_age: bool,
    legacy: bool,
    as_json: bool,
) -> int:
    """Check a delivery that was saved into two files, and print what it says; returns the exit code, 1: not genuine.

    Raises `ConfigurationError` for files that cannot be read, and for options that make no sense.
    """
    if at is not None and any_age:
        raise ConfigurationError("give --at or --any-age, not both")
    configured = await asyncio.to_thread(_secret, secret_file)
    secret = configured if job_id is None else _secret_for(job_id, configured)
    found = read_headers(await asyncio.to_thread(_read, headers), headers.name)
    raw = await asyncio.to_thread(_read, body)
    tolerance = math.inf if any_age else TOLERANCE

    def check(body: bytes, secret: str, *, legacy: bool = legacy, tolerance: float = tolerance) -> WebhookEvent:
        return parse(found, body, secret, tolerance=tolerance, now=at, legacy=legacy)

    def fits(body: bytes, secret: str, *, legacy: bool = legacy) -> bool:
        try:
            check(body, secret, legacy=legacy, tolerance=math.inf)
        except WebhookError as error:
            return isinstance(error, InvalidPayload)  # signed all the same
        return True

    try:
        event = check(raw, secret)
    except StaleTimestamp as error:
        return _refuse(error, "to check it as of another time give --at, or --any-age", job_id, as_json=as_json)
    except InvalidSignature as error:
        names = {name.lower() for name, _ in found}
        without = raw.removesuffix(b"\n").removesuffix(b"\r")
        if legacy and SIGNATURE in names and OLD_SIGNATURE not in names:
            hint = "it has the new form: omit --legacy"
        elif not legacy and OLD_SIGNATURE in names and SIGNATURE not in names:
            hint = "it has the old form: give --legacy"
        elif without != raw and fits(without, secret):
            hint = "it fits without the line break at the end of the body, which an editor may have added: remove it"
        elif job_id is not None and fits(raw, configured):
            hint = "it is signed with the secret itself: omit --job"
        elif job_id is None and SIGNATURE in names:
            hint = "if the address it came to had ?job=…, give that as --job"
        else:
            hint = "save all headers, and the body byte by byte as it came"
        return _refuse(error, hint, job_id, as_json=as_json)
    except WebhookError as error:
        return _refuse(error, "it is signed, but is no known kind of delivery", job_id, as_json=as_json)
    seen = {"verdict": str(Verdict.ACCEPTED), "reason": None, "hint": None, "job_id": job_id, **_facts(event)}
    _say(_as_json(seen) if as_json else _as_text(seen))
    return 0


def _refuse(error: WebhookError, hint: str, job_id: str | None, *, as_json: bool) -> int:
    if as_json:
        verdict = next(str(verdict) for kind, verdict in _VERDICTS if isinstance(error, kind))
        _say(_as_json({"verdict": verdict, "reason": str(error), "hint": hint, "job_id": job_id, **_facts(None)}))
    else:
        typer.echo(f"aimusic: not genuine: {_printable(str(error))}; {hint}", err=True)
    return 1


def read_headers(raw: bytes, name: str) -> Pairs:
    """Read headers from a file's bytes: `Name: value` lines as curl and logs have them, or one JSON object.

    The start line of a request or an answer is skipped, and everything after an empty line. Raises
    `ConfigurationError`, which names the file by `name`.
    """
    text = raw.decode("utf-8-sig", "replace").strip()
    if text.startswith("{"):
        return _headers_of_json(text, name)
    found: Pairs = []
    for number, line in enumerate(text.splitlines(), 1):
        words = re.sub(r"^[<>] ?", "", line).strip()  # curl -v marks its lines
        if not words:
            break
        if not found and _START_LINE.fullmatch(words):
            continue
        header, colon, value = words.partition(":")
        if not colon:
            raise ConfigurationError(
                f"{name}, line {number} of the text is not a `Name: value`: {_printable(words)!r:.80}"
            )
        found.append((header.strip(), value.strip()))
    if not found:
        raise ConfigurationError(f"{name} holds no headers")
    return found


def _headers_of_json(text: str, name: str) -> Pairs:
    try:
        fields: Mapping[str, Any] = json.loads(text)
    except (ValueError, RecursionError):
        raise ConfigurationError(f"{name} begins like a JSON object and is not one") from None
    return [
        (header, str(value))
        for header, content in fields.items()
        for value in (content if isinstance(content, list) else [content])  # some write every header as a list
    ]


# --- the secret ------------------------------------------------------------------------------------------------------


def _secret(file: Path | None) -> str:
    """Return the configured secret from the file, else from the environment; it is never an argument."""
    if file is None:
        secret = os.environ.get(SECRET, "")
    else:
        mode = file.stat().st_mode if file.exists() else 0
        if os.name == "posix" and stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH):
            typer.echo(f"aimusic: warning: others can read the secret in {file}: chmod 600 {file}", err=True)
        try:
            secret = _read(file).decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise ConfigurationError(f"the secret in {file} is not a text") from None
    if not secret:
        where = SECRET if file is None else str(file)
        raise ConfigurationError(f"no secret in {where}: set {SECRET}, or name a file that holds it with --secret-file")
    return secret


def _config(secret: str) -> WebhookConfig:
    return WebhookConfig("http://localhost/", secret)  # the address plays no part in a secret


def _secret_for(job_id: str, configured: str) -> str:
    try:
        return _config(configured).secret_for(job_id)
    except InvalidRequest as error:
        raise ConfigurationError(f"--job {error.limit}, as in the address that the delivery came to") from None


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror}") from error


# --- showing ---------------------------------------------------------------------------------------------------------


def _facts(event: WebhookEvent | None) -> dict[str, Any]:
    """Return what a delivery says, always under the same names; None and empty lists when there is none."""
    facts: dict[str, Any] = {name: getattr(event, name, None) for name in ("id", "event", "task_id", "platform")}
    facts |= {"signed": event.timestamp if event else None, "titles": [], "audio_urls": [], "failure": None}
    if event is None:
        return facts
    with contextlib.suppress(ApiError):  # there is nothing to show
        # Whatever made the task, its clips are read alike.
        progress = read_task(CreateMusic, event.task_id or "", event.reply)
        facts["titles"] = [clip.title for clip in progress.clips if clip.title]
        facts["audio_urls"] = [clip.audio_url for clip in progress.clips if clip.audio_url]
        facts["failure"] = progress.reason or None
    return facts


def _as_line(seen: Mapping[str, Any]) -> str:
    """Return one line for a terminal."""
    when = datetime.fromtimestamp(seen["time"]).astimezone().strftime("%H:%M:%S")
    titles = dict.fromkeys(map(repr, seen["titles"]))  # usually both clips have the same
    parts = [seen["event"], seen["task_id"], *titles, *seen["audio_urls"], seen["failure"], seen["reason"]]
    return "  ".join([when, f"{seen['verdict']:<9}", *(_printable(part) for part in parts if part)])


def _as_text(seen: Mapping[str, Any]) -> str:
    """Return several lines for a terminal: what a genuine delivery says."""
    rows: list[tuple[str, str | None]] = [
        ("genuine", seen["event"] or "no event named"),
        ("task", seen["task_id"]),
        ("platform", seen["platform"]),
        ("id", seen["id"]),
        ("signed", _moment(seen["signed"])),
        *(("title", title) for title in seen["titles"]),
        *(("audio", url) for url in seen["audio_urls"]),
        ("failure", seen["failure"]),
    ]
    return "\n".join(f"{name:<9} {_printable(text)}" for name, text in rows if text)


def _moment(seconds: float | None) -> str:
    if seconds is None:
        return "the old form does not say when"
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):  # no calendar goes so far
        return f"{seconds:.0f}"


def _as_json(seen: Mapping[str, Any]) -> str:
    return json.dumps(seen)  # ASCII: it escapes whatever a terminal would obey


def _printable(text: str) -> str:
    """Escape what a terminal would obey instead of showing it: control characters, and those that turn text around."""
    short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return "".join(one if one.isprintable() else one.encode("unicode_escape", "replace").decode() for one in short)


def _say(line: str) -> None:
    """Print now, also into a pipe; what its encoding cannot spell is escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    typer.echo(line.encode(encoding, "backslashreplace").decode(encoding))
