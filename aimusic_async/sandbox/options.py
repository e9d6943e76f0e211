"""How a sandbox behaves: every switch, with its default."""

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal

from attrs import Attribute, field, frozen, validators

from aimusic_async.sandbox import models
from aimusic_async.sandbox.eras import by_era
from aimusic_async.sandbox.faults import Faults
from aimusic_async.sandbox.policy import ContentPolicy
from aimusic_async.sandbox.prices import PRICES
from aimusic_async.sandbox.switches import Switches

Timing = Mapping[str, float] | Callable[[str, int], float | None]
"""Seconds by operation, family or "*" (`{"sonic.stems_full": 45, "sonic": 90}`), or a function of
operation and its number (0, 1, … in the order in which operations were accepted); what it leaves out is drawn."""

_number: Any = validators.instance_of((int, float))
_positive = validators.and_(_number, validators.gt(0))
_share = validators.and_(_number, validators.ge(0), validators.le(1))
_count = validators.and_(validators.instance_of(int), validators.ge(0))
_at_least_one = validators.and_(validators.instance_of(int), validators.ge(1))
_flag = validators.instance_of(bool)
_pauses = validators.deep_iterable(validators.and_(_number, validators.ge(0)))
_names: Any = validators.and_(
    validators.deep_iterable(validators.instance_of(str), validators.instance_of(tuple)), validators.min_len(1)
)


def _one_of(*values: Any) -> Any:
    return validators.in_(values)


def _range(low: float, high: float) -> Any:
    def check(_: object, attribute: "Attribute[Any]", value: Any) -> None:
        least, most = value
        if not low <= least <= most <= high:
            raise ValueError(f"{attribute.name} should be two rising numbers from {low} to {high}, not {value!r}")

    return check


def _timing(_: object, attribute: "Attribute[Any]", value: Any) -> None:
    if callable(value):
        return
    if not isinstance(value, Mapping) or any(not seconds >= 0 for seconds in value.values()):
        raise ValueError(f"{attribute.name} should map operations to seconds, or be a function; not {value!r}")


def _prices(_: object, attribute: "Attribute[Any]", value: Mapping[str, int]) -> None:
    if not isinstance(value, Mapping):
        raise TypeError(f"{attribute.name} should map operations to credits, not be {value!r}")
    for name, price in value.items():
        if name.partition(" ")[0] not in PRICES or price < 0:
            raise ValueError(f"{attribute.name}: {name!r} is no operation with a price, or {price!r} is no price")


def _moment(_: object, attribute: "Attribute[Any]", value: datetime | None) -> None:
    if value is not None and value.tzinfo is None:
        raise ValueError(f"{attribute.name} should have a time zone")


def _faults(_: object, attribute: "Attribute[Any]", value: object) -> None:
    if value is not None and not isinstance(value, Faults):
        raise TypeError(f"{attribute.name} should be a Script, RandomFaults or the like, not {value!r}")


def _as_names(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


@frozen(kw_only=True)
class Options(Switches):
    """How a sandbox behaves. Times are the service's seconds; `speed` says how fast they pass.

    What changed at the service over time is in `Switches`, which an `era` turns together.

    Raises `ValueError` or `TypeError` at once for a value that makes no sense.
    """

    # Time and chance
    speed: float = field(default=1.0, validator=_positive)
    """Service seconds in one second: 60 makes a minute of waiting, and of rate limit, one second."""
    seed: int = field(default=0, validator=validators.instance_of(int))
    """The same seed and the same requests in the same order give the same ids, durations, songs and failures."""
    start: datetime | None = field(default=None, validator=_moment)
    """What the service's calendar says when the sandbox opens; default: the real time."""
    durations: Timing = field(factory=dict, validator=_timing)
    """Seconds from a task's acceptance until its last clip has settled; also how long WAV, MIDI and lyrics timeline
    are prepared ("sonic.get_wav": 0 has them ready at the first asking)."""
    answer_times: Timing = field(factory=dict, validator=_timing)
    """Seconds that a request itself takes: about 20 for an upload, 30 to 60 for upload + extend or cover."""
    clip_spread: tuple[float, float] = field(default=(0.65, 0.95), validator=_range(0, 1))
    """When a task's other clips settle, as shares of its duration; (1, 1) makes all settle at once."""
    not_ready_share: tuple[float, float] = field(default=(0.08, 0.3), validator=_range(0, 1))
    """How much of a task's duration passes before there are clips to show."""

    # Rate limit
    period: float = field(default=3.0, validator=_positive)
    """Least seconds between two admitted requests of one key, or on average when several may come at once."""
    capacity: int = field(default=1, validator=_at_least_one)
    """Requests of one key that may come at once after a quiet time."""
    count: Literal["all", "posts"] = field(default="all", validator=_one_of("all", "posts"))
    """Which requests are limited: all, or those that are sent by POST."""
    retry_after: bool = field(default=False, validator=_flag)
    """Send `Retry-After` (whole seconds, the service's) with a 429."""
    rate_limit_type: Literal["rate_limit", "rate_limited"] = field(
        default=by_era("rate_limit_type", "rate_limit"), validator=_one_of("rate_limit", "rate_limited")
    )
    """The `type` of a 429."""

    # Money
    keys: tuple[str, ...] = field(default=("sandbox-key",), converter=_as_names, validator=_names)
    """API keys that are let in. Each has an account, clips and tasks of its own."""
    credits: int = field(default=10_000, validator=_count)
    """Subscription credits of each account at the start."""
    extra_credits: int = field(default=500, validator=_count)
    """Bought credits of each account at the start."""
    first_pot: Literal["extra", "subscription"] = field(default="extra", validator=_one_of("extra", "subscription"))
    """Which credits are spent first."""
    subscription: bool = field(default=True, validator=_flag)
    """Without one, everything that costs credits is refused with 403."""
    prices: Mapping[str, int] = field(default=by_era("prices", {}), validator=_prices)
    """Prices that differ from the table in `prices.py`, by operation ("sonic.create_music"), or by operation and model
    ("sonic.create_music sonic-v5")."""
    credits_short_status: Literal[403, 402] = field(
        default=by_era("credits_short_status", 403), validator=_one_of(403, 402)
    )
    """How missing credits are refused: 403 `forbidden`, or the newer 402 `insufficient_credits`."""

    # Failures
    failure_rate: float = field(default=0.0, validator=_share)
    """Share of clips that fail; a task of which all clips failed is refunded."""
    task_failure_rate: float = field(default=0.0, validator=_share)
    """Share of tasks of which all clips fail, with refund."""
    timeout_rate: float = field(default=0.0, validator=_share)
    """Share of tasks that end in 504 on the poll, with refund."""
    failed_form: Literal["clips", "body"] = field(default="clips", validator=_one_of("clips", "body"))
    """How a failed Sonic task shows: every clip `failed`, or one `{"type": "failed", …}`."""
    faults: Faults | None = field(default=None, validator=_faults)
    """What goes wrong on purpose with requests and tasks: a `Script`, `RandomFaults`, or an object of your own."""

    # Songs
    song_seconds: tuple[float, float] = field(default=(120.0, 240.0), validator=_range(1, 480))
    """Shortest and longest song that is made when the request does not say. Its file is made when it is asked for,
    which takes about a second of this machine for a minute of music."""
    clips_per_task: int = field(default=2, validator=_at_least_one)
    """Songs that a Sonic or Riffusion request makes (joining two makes one)."""
    stems_full_count: int = field(default=12, validator=_at_least_one)
    """Tracks of a full separation; 24 gives every part twice."""

    # Which operations exist
    personas_available: bool = field(default=True, validator=_flag)
    """Whether `sonic/persona` works; otherwise it is refused with 403."""
    old_persona_form: bool = field(default=False, validator=_flag)
    """Take personas as in 2025: `name`, `description` and `continue_clip_id`, all required."""
    producer_files_available: bool = field(default=True, validator=_flag)
    """Whether `producer/upload` and `producer/download` work; otherwise they are refused with 403."""
    producer_edits: bool = field(default=False, validator=_flag)
    """Whether `producer/create` takes more than `create_music`; otherwise the rest answers 410."""
    nuro_gone: bool = field(default=by_era("nuro_gone", usual=False), validator=_flag)
    """All of Nuro answers 410, as since mid 2026."""
    riffusion_gone: bool = field(default=False, validator=_flag)
    """All of Riffusion answers 410."""

    # Forms that differ between versions of the service
    not_ready_status: Literal[202, 200] = field(default=202, validator=_one_of(202, 200))
    """HTTP status of Sonic's `not_ready` (Producer always says 202)."""
    code_in_submit: bool = field(default=False, validator=_flag)
    """Whether the answer to an accepted task carries `code`."""
    producer_form: Literal["state", "status"] = field(
        default=by_era("producer_form", "state"), validator=_one_of("state", "status")
    )
    """Producer tasks: `state` in every clip (2025), or one `status` word on top (2026)."""
    mv_spelling: Literal["sent", "sonic", "chirp"] = field(default="sent", validator=_one_of("sent", "sonic", "chirp"))
    """How answers spell a Sonic model: as it was sent, or always in one way."""
    unknown_task_status: Literal[400, 404] = field(default=400, validator=_one_of(400, 404))
    """How an unknown task id is refused (Nuro always says 404)."""
    error_body: Literal["type", "code"] = field(default="type", validator=_one_of("type", "code"))
    """Errors as `{type, error}` or as `{code, message}`."""

    # Rules that differ between versions of the service
    sonic_models: tuple[str, ...] = field(
        default=by_era("sonic_models", (*models.SONIC, *models.SONIC_LATER, *models.SAMPLING)),
        converter=_as_names,
        validator=_names,
    )
    """Models that Sonic knows (each also in its `chirp-` spelling)."""
    producer_models: tuple[str, ...] = field(
        default=by_era("producer_models", (*models.PRODUCER, *models.PRODUCER_LATER)),
        converter=_as_names,
        validator=_names,
    )
    """Models that Producer knows."""
    riffusion_models: tuple[str, ...] = field(default=models.RIFFUSION, converter=_as_names, validator=_names)
    """Models that Riffusion knows."""
    strict_24h: bool = field(default=False, validator=_flag)
    """Refuse to add a voice or a backing to a clip that is older than 24 hours."""
    lyrics_description_max: int = field(default=200, validator=_at_least_one)
    """Longest description that `sonic/lyrics` takes (another page says 120)."""
    nuro_lyrics_min: int = field(default=0, validator=_count)
    """Shortest lyrics that Nuro takes (a note says 300)."""
    http_webhooks: bool = field(default=False, validator=_flag)
    """Also take plain `http` webhook addresses when they lead to this machine (for tests)."""
    policy: ContentPolicy = field(factory=ContentPolicy, validator=validators.instance_of(ContentPolicy))
    """Marker words for what the real service's moderation refuses."""

    # Webhooks
    webhook_streaming: bool = field(default=True, validator=_flag)
    """Whether Sonic's newer models also report when a song can be listened to, before it is finished."""
    webhook_delay: tuple[float, float] = field(default=(0.0, 0.0), validator=_range(0, math.inf))
    """Least and most seconds by which a task's webhooks go out after their events; all of one task lag alike."""
    webhook_disorder: float = field(default=0.0, validator=_share)
    """Share of tasks whose `song.streaming` goes out after the final event."""
    webhook_lost: float = field(default=0.0, validator=_share)
    """Share of events that are never sent."""
    webhook_doubled: float = field(default=0.0, validator=_share)
    """Share of events that are sent twice at the same time, with the same id."""
    webhook_timeout: float = field(default=10.0, validator=_positive)
    """Seconds in which a receiver should answer; never less than one real second."""
    webhook_retries: tuple[float, ...] = field(default=(1.0, 5.0, 30.0), converter=tuple, validator=_pauses)
    """Seconds from each attempt that was not answered with 2xx to the next; () never tries again."""
    webhook_default_secret: str = field(
        default="sandbox-webhook-secret", validator=validators.and_(validators.instance_of(str), validators.min_len(1))
    )
    """What signs webhooks whose request gave no `webhook_secret`."""
    webhook_legacy_signature: bool = field(default=False, validator=_flag)
    """Sign as in 2025: one header `X-Signature` over the body alone, and neither id, event nor time."""
    webhook_platform_word: Literal["sonic", "suno"] = field(default="sonic", validator=_one_of("sonic", "suno"))
    """What webhooks call Sonic."""
    webhook_any_host: bool = field(default=False, validator=_flag)
    """Also deliver to other machines than this one; otherwise the books note that such a webhook was not sent."""

    # Files
    url_lifetime: float | None = field(default=None, validator=validators.optional(_positive))
    """Seconds after which a clip's files are gone (404); None: never."""
    upload_max_seconds: float = field(default=480.0, validator=_positive)
    """Longest audio that can be uploaded."""
    upload_max_bytes: int = field(default=50_000_000, validator=_at_least_one)
    """Largest audio file that can be uploaded."""
    fetch_any_host: bool = field(default=False, validator=_flag)
    """Also fetch uploads from other machines than this one."""

    # Books
    serve_books: bool = field(default=False, validator=_flag)
    """Show the books as JSON at `GET /books` (outside /api/v1), to anybody: for a test in another process. Who asks
    needs no key and uses up no rate limit. Requests' bodies are in it."""
