"""What changed at the service since its pages of early 2026, each as a switch of its own; an era turns many at once."""

from typing import Any, Literal

from attrs import field, frozen, validators

from aimusic_async.sandbox.eras import Era, by_era

_number: Any = validators.and_(validators.instance_of((int, float)), validators.ge(0))
_share = validators.and_(_number, validators.le(1))


def _flag(name: str, usual: bool) -> Any:  # noqa: FBT001 - the default of a switch
    return field(default=by_era(name, usual), validator=validators.instance_of(bool))


def _one_of(name: str, *values: Any) -> Any:
    """A choice, of which the first is the usual one."""
    return field(default=by_era(name, values[0]), validator=validators.in_(values))


def _seconds(usual: float | None, name: str = "") -> Any:
    default = by_era(name, usual) if name else usual
    return field(default=default, validator=validators.optional(_number))


@frozen(kw_only=True)
class Switches:
    """How the service differs from its pages of early 2026."""

    era: Era | None = field(default=None, validator=validators.in_(("seed", "today", None)))
    """Turns every other switch that is not given: "seed" as the pages of early 2026 have it, "today" as it was read
    last, with all that it requires and its prices. None: what programs of both times can live with."""

    # What requests hold
    use_suno_cdn_required: bool = _flag("use_suno_cdn_required", usual=False)
    """`POST /sonic/create` without `use_suno_cdn` is refused."""
    duration_beyond_create: bool = _flag("duration_beyond_create", usual=True)
    """`duration` is taken with extensions, covers and personas, too, and not with new songs only."""
    audio_weight_anywhere: bool = _flag("audio_weight_anywhere", usual=True)
    """`audio_weight` is taken with everything that makes a song, and not only where there is a source to keep to."""
    lyrics_with_description: bool = _flag("lyrics_with_description", usual=True)
    """`prompt` and `gpt_description_prompt` may come together."""
    continue_at_optional: bool = _flag("continue_at_optional", usual=True)
    """An extension without `continue_at` goes on from the end."""
    cover_by_style: bool = _flag("cover_by_style", usual=True)
    """A cover may come with `tags` alone, without `custom_mode` and words."""
    upload_task_types: Literal["also", "only", "gone"] = _one_of("upload_task_types", "also", "only", "gone")
    """Uploaded clips are extended and covered by the task types of their own ("only"), by those or the plain ones
    ("also"), or by the plain ones, since the others do not exist any more ("gone")."""
    variations_for_v5_only: bool = _flag("variations_for_v5_only", usual=False)
    """`variation_category` is taken for `sonic-v5` alone, and not for newer models."""
    gender_for_chirp_only: bool = _flag("gender_for_chirp_only", usual=False)
    """`vocal_gender` is taken for models in the `chirp-` spelling alone (seen by one client)."""
    webm_voices: bool = _flag("webm_voices", usual=True)
    """Voices are learned from WebM recordings, too."""

    # What is answered
    sonic_download: bool = _flag("sonic_download", usual=True)
    """Whether there is an address `sonic/download`."""
    download_form: Literal["files", "wav_url"] = _one_of("download_form", "files", "wav_url")
    """How it lists files; `wav_url` names a WAV alone, where one was asked for."""
    download_within: float | None = _seconds(None)
    """Seconds after which a clip is too old for it (404); None: never."""
    rewritten_titles: float = field(default=0.25, validator=_share)
    """Share of the songs by description whose title the service rewrites."""
    retriable: bool = _flag("retriable", usual=True)
    """Errors that may pass say `retriable: true`."""
    failed_clip_field: Literal["error", "error_message"] = _one_of("failed_clip_field", "error", "error_message")
    """Under which name a failed clip has its reason."""
    producer_failure_status: Literal[200, 500] = _one_of("producer_failure_status", 200, 500)
    """HTTP status with which a failed Producer task shows; 500 with `{"type": "failed"}`."""
    unknown_addresses: Literal["pages", "json"] = _one_of("unknown_addresses", "pages", "json")
    """What addresses that do not exist answer: HTML with 404, or 405 for a POST, to anybody, as the host that the
    service runs on does; or its own JSON."""
    function_seconds: float | None = _seconds(None)
    """Seconds after which that host breaks a slow request off, with a 504 in plain text, although it was carried out;
    None: never."""
    fresh_file_seconds: float = _seconds(0.0, "fresh_file_seconds")
    """Seconds for which the file host refuses a file that was just made."""
    fresh_file_status: Literal[403, 404] = _one_of("fresh_file_status", 403, 404)
    """With what it refuses it."""
