"""One command per request class: its options are the class's fields, with their types, limits and documentation."""

from __future__ import annotations

import inspect
import json
import re
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import attrs
import typer
from rich.markup import escape

from ..api.limits import Above, Between, FieldSpec, HookUrl, Items, Limit, MaxLength, OneOf, WebUrl
from ..api.operations import operations
from ..api.plain import OPERATION, request_from_plain
from ..api.pricing import cost_of
from ..api.request import Answer, Request
from ..errors import ConfigurationError, InvalidRequest
from .common import Work, check_folder, command_of, finish, known_prices, opened
from .exits import Exit
from .texts import Texts

if TYPE_CHECKING:
    from .screen import Screen

TEXTS = frozenset({"prompt", "lyrics", "infill_lyrics", "gpt_description_prompt", "description", "describe"})
"""Fields that may be long: their options read `@file` and `-`."""
_SENDING = "Sending"

_SAMPLES: Mapping[str, object] = {
    "mv": "sonic-v5",
    "prompt": "[Verse] Lanterns on the water line",
    "lyrics": "[Verse] Lanterns on the water line",
    "infill_lyrics": "Ropes that hum an old design",
    "description": "a letter from the sea",
    "gpt_description_prompt": "a letter from the sea",
    "tags": "indie folk, warm",
    "sound": "indie folk, warm",
    "url": "https://example.com/song.mp3",
    "audio_url": "https://example.com/song.mp3",
}
"""Values for examples; all others are derived from the field's type and name."""
_PLATFORM_SAMPLES: Mapping[str, Mapping[str, object]] = {"riffusion": {"mv": "FUZZ-1.1 Pro"}}


@attrs.frozen(kw_only=True)
class Sending(Work):
    """How one request is sent."""

    key: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Your name for the job: running the same command again gives its result, and pays once.",
            rich_help_panel=_SENDING,
        ),
    ] = None
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Check it, print the request and its price, send nothing.",
            rich_help_panel=_SENDING,
        ),
    ] = False
    resend_failed: Annotated[
        bool,
        typer.Option("--resend-failed", help="With --key: send again what failed.", rich_help_panel=_SENDING),
    ] = False
    resend_unknown: Annotated[
        bool,
        typer.Option(
            "--resend-unknown",
            help="With --key: send again what is unknown, and perhaps pay twice.",
            rich_help_panel=_SENDING,
        ),
    ] = False


@attrs.frozen(kw_only=True)
class SendingTask(Sending):
    """The same for an operation that runs as a task."""

    no_wait: Annotated[
        bool,
        typer.Option(
            "--no-wait", help="Print the task id and end; `aimusic resume` waits for it.", rich_help_panel=_SENDING
        ),
    ] = False


# --- help ------------------------------------------------------------------------------------------------------------


def command_name(operation: str) -> str:
    """Return the name of an operation on the command line, such as `sonic create-music`."""
    return operation.replace(".", " ").replace("_", "-")


def option_name(field: str) -> str:
    """Return the option of a field."""
    return f"--{field.replace('_', '-')}"


def help_for(cls: type[Request[Any]]) -> str:
    """Return a command's help: the class's docstring, with commands and options in place of classes and fields."""
    platform = cls.operation.partition(".")[0]
    others = {other.__name__: name for name, other in operations().items() if name.startswith(f"{platform}.")}
    text = inspect.getdoc(cls) or ""
    for name, operation in others.items():
        text = text.replace(f"`{name}`", f"`{command_name(operation)}`")
    return escape(text)


def epilog_for(cls: type[Request[Any]]) -> str:
    """Return the text below a command's options: an example and the price."""
    credits_ = cost_of(cls, _prices_for_help())
    price = "free" if credits_ == 0 else "1 credit" if credits_ == 1 else f"{credits_} credits"
    return escape(f"Example: {example_line(cls)}\n\nPrice: {price}.")


def _prices_for_help() -> Mapping[str, int]:
    try:
        return known_prices()
    except ConfigurationError:  # help is shown whatever the environment holds
        return {}


def example(cls: type[Request[Any]]) -> dict[str, object]:
    """Return the fields of a smallest valid request: the required ones, and those that the checks ask for."""
    platform = cls.operation.partition(".")[0]
    specs = {spec.name: spec for spec in cls.fields()}
    given = {name: _sample(platform, spec) for name, spec in specs.items() if spec.required}
    while True:
        try:
            request_from_plain({OPERATION: cls.operation, **given})
        except InvalidRequest as error:
            if error.field in given or error.field not in specs:
                return given
            given[error.field] = _sample(platform, specs[error.field])
        else:
            return given


def _sample(platform: str, spec: FieldSpec) -> object:
    sample = _PLATFORM_SAMPLES.get(platform, {}).get(spec.name, _SAMPLES.get(spec.name))
    if sample is not None:
        return sample
    if isinstance(spec.kind, tuple):
        return spec.kind[0]
    if spec.kind in (int, float):
        return 10 if "start" in spec.name else 30
    word = spec.name.upper()
    if spec.kind is list:
        least = next((limit.least for limit in spec.limits if isinstance(limit, Items)), 1)
        if choices := next((limit.values for limit in spec.entry_limits if isinstance(limit, OneOf)), ()):
            return list(choices[:least])
        return [f"{word.removesuffix('S')}_{number}" for number in range(1, least + 1)]
    return True if spec.kind is bool else word


def example_line(cls: type[Request[Any]]) -> str:
    """Return a command that works."""
    words = ["aimusic", *command_name(cls.operation).split()]
    for name, value in example(cls).items():
        for one in value if isinstance(value, list) else [value]:
            words += [option_name(name)] if one is True else [option_name(name), str(one)]
    return shlex.join(words)


def _help_of(spec: FieldSpec) -> str:
    limits = [text for limit in (*spec.limits, *spec.entry_limits) if (text := _in_words(limit))]
    parts = [spec.doc, *(text for text in limits if text not in spec.doc)]
    if spec.entry is not str:
        fields = ", ".join(attrs.fields_dict(spec.entry))
        parts.append(f"a JSON list of objects with {fields}; @FILE reads it from a file")
    elif spec.kind is list:
        parts.append("may be given several times")
    elif takes_file(spec):
        parts.append("@FILE reads it from a file, - from stdin")
    return escape("; ".join(filter(None, parts)))


def _in_words(limit: Limit) -> str:
    match limit:
        case MaxLength(characters=most):
            return f"at most {most} characters"
        case Between(least=least, most=most):
            return f"at least {least:g}" if most == float("inf") else f"{least:g} to {most:g}"
        case Above(bound=bound):
            return f"above {bound:g}"
        case Items(least=least, most=most):
            return f"exactly {least} of them" if least == most else f"{least} to {most} of them"
        case OneOf(values=values):
            return ", ".join(values)
        case WebUrl() | HookUrl():
            return "https address"
        case _:
            return ""


def takes_file(spec: FieldSpec) -> bool:
    """Whether a field's value may be given as `@file` or `-`."""
    return spec.name in TEXTS or spec.secret or spec.entry is not str


# --- options -> request ----------------------------------------------------------------------------------------------


def field_parameters(cls: type[Request[Any]]) -> list[inspect.Parameter]:
    """Return the fields of a class as parameters, for Typer to read."""
    specs = sorted(cls.fields(), key=lambda spec: (not spec.required, spec.name.startswith("webhook_")))
    return [_parameter(spec) for spec in specs]


def _parameter(spec: FieldSpec) -> inspect.Parameter:
    name = option_name(spec.name)
    if spec.kind is bool:
        name = f"{name}/--no-{name.removeprefix('--')}"
    kind: Any = spec.kind
    if isinstance(kind, tuple):
        kind = Literal[kind]
    elif kind is list:
        kind = list[str] if spec.entry is str else str
    # In a panel of their own, since the two long names of a switch would leave no room for the other names.
    panel = "Switches" if kind is bool else None
    option = typer.Option(name, help=_help_of(spec), show_default=False, rich_help_panel=panel)
    if spec.required:
        return inspect.Parameter(spec.name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[kind, option])
    optional = Annotated[kind | None, option]
    return inspect.Parameter(spec.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=optional)


def request_from(cls: type[Request[Any]], given: Mapping[str, Any]) -> Request[Any]:
    """Build a request from the options that were given.

    Raises `ConfigurationError` for a text that cannot be read, and `InvalidRequest`, in terms of options, for what the
    request's own check refuses.
    """
    texts = Texts()
    fields: dict[str, Any] = {}
    for spec in cls.fields():
        value = given.get(spec.name)
        if value is None or value == []:
            continue
        if takes_file(spec):
            value = texts.read(option_name(spec.name), value)
        if spec.entry is not str:
            value = _entries(spec, value)
        fields[spec.name] = value
    try:
        return request_from_plain({OPERATION: cls.operation, **fields})
    except InvalidRequest as error:
        raise _in_options(cls, error) from None


def _entries(spec: FieldSpec, text: str) -> list[Mapping[str, Any]]:
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{option_name(spec.name)} must be JSON: {error}") from None
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise ConfigurationError(f"{option_name(spec.name)} must be a JSON list of objects")
    return entries


def _in_options(cls: type[Request[Any]], error: InvalidRequest) -> InvalidRequest:
    """Rephrase an error in terms of options: `custom_mode=False` is `--no-custom-mode` here."""
    limit = error.limit
    for spec in cls.fields():
        name = option_name(spec.name)
        limit = re.sub(rf"\b{spec.name}=False\b", f"--no-{name.removeprefix('--')}", limit)
        limit = re.sub(rf"(?<![\w-]){spec.name}(=True)?\b(?!-)", name, limit)
    field = option_name(error.field) if error.field in {spec.name for spec in cls.fields()} else error.field
    return InvalidRequest(field, limit, error.value)


# --- the command -----------------------------------------------------------------------------------------------------


def command_for(cls: type[Request[Any]]) -> Any:
    """Return the function of a class's command, for Typer to read."""
    is_task = cls.endpoint.answer is Answer.TASK or cls.endpoint.may_be_task

    def send(options: Sending, **given: Any) -> None:
        finish(options, lambda screen: _send(cls, options, given, screen))

    send.__name__ = cls.operation.partition(".")[2]
    return command_of(send, SendingTask if is_task else Sending, field_parameters(cls))


async def _send(cls: type[Request[Any]], options: Sending, given: Mapping[str, Any], screen: Screen) -> int:
    request = request_from(cls, given)
    if options.dry_run:
        _show_plan(screen, request, cost_of(request, options.prices))
        return Exit.DONE
    from .outcomes import progress, see_through  # noqa: PLC0415 - a dry run, and help, need no session

    waits = not (isinstance(options, SendingTask) and options.no_wait)
    if not waits and request.answer is not Answer.TASK:
        raise ConfigurationError("--no-wait is for tasks; this one is answered at once")
    if (options.resend_failed or options.resend_unknown) and options.key is None:
        raise ConfigurationError("--resend-failed and --resend-unknown go with --key, which names the job")
    if options.out is not None:
        import asyncio  # noqa: PLC0415 - as above

        await asyncio.to_thread(check_folder, options.out)
    async with opened(options, screen) as music:
        with progress(screen, music):
            job = music.submit(
                request,
                timeout=options.timeout,
                key=options.key,
                resend_failed=options.resend_failed,
                resend_unknown=options.resend_unknown,
            )
            screen.jobs.append(job)
            try:
                if waits:
                    return await see_through(screen, music, [job], options.out)
                await job.accepted()
            except BaseException:
                job.cancel()  # a later run must not send what was not sent
                raise
    _report_accepted(screen, job)
    return Exit.DONE


def _report_accepted(screen: Screen, job: Any) -> None:
    from .plain import plain_job  # noqa: PLC0415 - where it is needed
    from .show import safe  # noqa: PLC0415 - as above

    if screen.as_json:
        screen.row({**plain_job(job), "state": "submitted"})
    else:
        screen.say(safe(job.task_id))
    if not screen.sandbox:
        later = f"aimusic attach {job.operation.operation} {job.task_id}"
        screen.note(f"`{f'aimusic resume`, or `{later}' if screen.has_journal else later}` waits for it")


def _show_plan(screen: Screen, request: Request[Any], credits_: int) -> None:
    from ..api.wire import encode  # noqa: PLC0415 - where it is needed
    from .show import safe  # noqa: PLC0415 - as above

    secrets = {spec.name for spec in request.fields() if spec.secret}
    body = {name: "(secret)" if name in secrets else value for name, value in encode(request).items()}
    plan = {
        "operation": request.operation,
        "method": request.endpoint.method,
        "path": f"/api/v1{request.endpoint.path}",
        "body": body,
        "credits": credits_,
    }
    if screen.as_json:
        screen.row(plan)
        return
    screen.say(f"{plan['method']} {plan['path']}")
    for line in json.dumps(body, indent=2, ensure_ascii=False).splitlines():
        screen.say(line if line.isprintable() else safe(line))
    screen.note(f"{credits_} credits; nothing was sent")
