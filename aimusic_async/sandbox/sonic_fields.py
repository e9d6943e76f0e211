"""Sonic's request fields, as tables: what each operation takes and requires. Pure."""

from aimusic_async.sandbox import models, texts
from aimusic_async.sandbox.models import sonic_model, sonic_name
from aimusic_async.sandbox.options import Options
from aimusic_async.sandbox.rules import WEBHOOK, Body, Rule, always, choice, flag, model, number, only_with, text

MV = model(lambda options: options.sonic_models, aliases=True, required=always)
OVERPAINTING_MV = model(
    lambda options: [name for name in models.OVERPAINTING if name in options.sonic_models],
    aliases=True,
    required=always,
)


def _sung(body: Body) -> bool:
    return body.get("custom_mode") is True and body.get("make_instrumental") is not True


def _described(body: Body) -> bool:
    return body.get("custom_mode") is False


def _prompt_limit(body: Body, _options: Options) -> int:
    return sonic_model(body.get("mv")).prompt


def _tags_limit(body: Body, _options: Options) -> int:
    return sonic_model(body.get("mv")).tags


TITLE = text("title", most=80)
TAGS = text("tags", most=_tags_limit)
PROMPT = text("prompt", most=_prompt_limit, required=_sung)
LYRICS_PROMPT = text("prompt", most=_prompt_limit, required=always)
STYLE = (
    text("negative_tags"),
    choice("vocal_gender", ("f", "m")),
    number("style_weight", 0, 1),
    number("weirdness_constraint", 0, 1),
)
AUDIO_WEIGHT = number("audio_weight", 0, 1)

SHARED = (
    MV,
    flag("custom_mode", required=always),
    flag("make_instrumental"),
    flag("auto_lyrics"),
    PROMPT,
    text("gpt_description_prompt", most=400, stated=200, label="'gpt_description_prompt'", required=_described),
    TITLE,
    TAGS,
    *STYLE,
    AUDIO_WEIGHT,
    number("duration", 10, 360, whole=True),
    flag("use_suno_cdn"),
    *WEBHOOK,
)
"""What all generators of songs take."""

OVERPAINTING = (
    OVERPAINTING_MV,
    flag("custom_mode"),
    TITLE,
    TAGS,
    *STYLE,
    AUDIO_WEIGHT,
    number("overpainting_start_s", 0),
    number("overpainting_end_s", 0),
    *WEBHOOK,
)
"""What adding a voice or a backing takes, the words apart."""

CONTINUE_CLIP = text("continue_clip_id", required=always)
CONTINUE_AT = number("continue_at", 0, above=True, required=always)


def gender_is_new(body: Body, _options: Options) -> str | None:
    """Old models know no `vocal_gender`."""
    if "vocal_gender" in body and not sonic_model(body.get("mv")).vocal_gender:
        return "The 'vocal_gender' field is only supported by 'sonic-v4-5' and newer models."
    return None


def variation_is_new(body: Body, _options: Options) -> str | None:
    """Old models know no `variation_category`."""
    old = sonic_name(str(body.get("mv"))) in tuple(models.SONIC)[: tuple(models.SONIC).index(models.VARIATIONS_FROM)]
    if "variation_category" in body and old:
        return "The 'variation_category' field is only supported by 'sonic-v5' and newer models."
    return None


def no_duration(body: Body, _options: Options) -> str | None:
    """Of the task types, only `create_music` takes a length."""
    return "The 'duration' field is only allowed when task_type = create_music." if "duration" in body else None


def at_most_30_seconds(body: Body, _options: Options) -> str | None:
    """A voice can be taken from 30 seconds at most."""
    if body.get("vocal_end_s", 0) - body.get("vocal_start_s", 0) > 30:
        return "The range from 'vocal_start_s' to 'vocal_end_s' should be at most 30 seconds."
    return None


def two_clips(body: Body, _options: Options) -> str | None:
    """A mashup is made of two songs."""
    ids = body.get("mashup_clip_ids")
    if isinstance(ids, list) and len(ids) == 2 and all(isinstance(one, str) and one for one in ids):
        return None
    return "The 'mashup_clip_ids' field should be a list of exactly two clip ids."


SHARED_RULES: tuple[Rule, ...] = (gender_is_new, only_with("auto_lyrics", "custom_mode", value=True))
TASK_TYPE_RULES: tuple[Rule, ...] = (*SHARED_RULES, no_duration)
PERSONA_REQUIRED = text("persona_id", required=always, missing=texts.PERSONA_REQUIRED)
