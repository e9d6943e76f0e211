"""The states that the service was in: which switches of a sandbox each of them turns. Pure data."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from attrs import Factory

from aimusic_async.sandbox import models
from aimusic_async.sandbox.prices import TODAY

Era = Literal["seed", "today"]
ERAS: tuple[str, ...] = get_args(Era)

_STATES: Mapping[str | None, Mapping[str, Any]] = {
    "seed": {  # the pages of December 2025 to February 2026
        "sonic_models": tuple(models.SONIC),
        "producer_models": models.PRODUCER,
        "duration_beyond_create": False,
        "audio_weight_anywhere": False,
        "lyrics_with_description": False,
        "continue_at_optional": False,
        "cover_by_style": False,
        "upload_task_types": "only",
        "sonic_download": False,
        "retriable": False,
        "failed_clip_field": "error_message",
        "unknown_addresses": "json",
    },
    "today": {  # what was read until November 2026
        "use_suno_cdn_required": True,
        "prices": TODAY,
        "variations_for_v5_only": True,
        "producer_failure_status": 500,
        "fresh_file_seconds": 5.0,
        "webm_voices": False,
        "credits_short_status": 402,
        "rate_limit_type": "rate_limited",
        "producer_form": "status",
        "nuro_gone": True,
    },
}


def by_era(name: str, usual: object) -> Any:
    """The default of a switch: what the options' era makes of it, else the usual one."""
    return Factory(lambda options: _STATES.get(options.era, {}).get(name, usual), takes_self=True)
