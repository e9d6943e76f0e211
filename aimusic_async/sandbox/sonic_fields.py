"""Sonic's request fields, as tables: what each operation takes and requires. Pure."""

from aimusic_async.sandbox import models, texts
from aimusic_async.sandbox.models import sonic_model, sonic_name
from aimusic_async.sandbox.options import Options
from aimusic_async.sandbox.rules import WEBHOOK, Body, Rule, always, choice, flag, model, number, only_with, text

MV = model(
    lambda options: [name for name in options.sonic_models if name not in models.SAMPLING],
    aliases=True,
    required=always,
)
SAMPLING_MV = model(lambda options: options.sonic_models, aliases=True, required=always)
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
CDN = flag("use_suno_cdn")

_MODE = flag("custom_mode", required=always)
SHARED = (
    MV,
    _MODE,
    flag("make_instrumental"),
    flag("auto_lyrics"),
    PROMPT,
    text("gpt_description_prompt", most=400, stated=200, label="'gpt_description_prompt'", required=_described),
    TITLE,
    TAGS,
    *STYLE,
    AUDIO_WEIGHT,
    number("duration", 10, 360, whole=True),
    CDN,
    *WEBHOOK,
)
"""What all generators of songs take."""

OVERPAINTING = (
    OVERPAINTING_MV,
    flag("custom_mode"),
    CDN,
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
CONTINUE_AT_PERHAPS = number("continue_at", 0, above=True)


COVERED = tuple(flag("custom_mode") if one is _MODE else one for one in SHARED)
"""What covers take: they may come without a mode."""
SAMPLED = tuple(SAMPLING_MV if one is MV else one for one in SHARED)
"""What samples and mashups take."""


def cdn_is_said(body: Body, options: Options) -> str | None:
    """The flag may be required."""
    missing = options.use_suno_cdn_required and "use_suno_cdn" not in body
    return texts.should_be_boolean("use_suno_cdn") if missing else None


def point_is_said(body: Body, options: Options) -> str | None:
    """The point to go on from may have to be said."""
    missing = not options.continue_at_optional and "continue_at" not in body
    return texts.required("continue_at") if missing else None


def mode_or_style(body: Body, options: Options) -> str | None:
    """A cover has a mode, or else a style and no words."""
    wordless = not body.get("prompt") and not body.get("gpt_description_prompt")
    if "custom_mode" in body or (options.cover_by_style and body.get("tags") and wordless):
        return None
    return texts.should_be_boolean("custom_mode")


def one_text(body: Body, options: Options) -> str | None:
    """Lyrics and a description may exclude each other."""
    if options.lyrics_with_description or not body.get("prompt") or not body.get("gpt_description_prompt"):
        return None
    return "The 'prompt' and 'gpt_description_prompt' fields cannot be used together."


def weight_has_a_source(body: Body, options: Options) -> str | None:
    """`audio_weight` may need something to keep to."""
    if options.audio_weight_anywhere or "audio_weight" not in body:
        return None
    return "The 'audio_weight' field is only allowed for covers and uploaded audio."


def gender_is_new(body: Body, options: Options) -> str | None:
    """Old models know no `vocal_gender`, and of new ones perhaps only those in one spelling."""
    if "vocal_gender" in body and options.gender_for_chirp_only and not str(body.get("mv")).startswith("chirp-"):
        return "The 'vocal_gender' field is only supported by 'chirp-' models."
    if "vocal_gender" in body and not sonic_model(body.get("mv")).vocal_gender:
        return "The 'vocal_gender' field is only supported by 'sonic-v4-5' and newer models."
    return None


def variation_is_new(body: Body, options: Options) -> str | None:
    """Old models know no `variation_category`, and perhaps those after v5 neither."""
    name, known = sonic_name(str(body.get("mv"))), tuple(models.SONIC)
    if "variation_category" in body and options.variations_for_v5_only and name != models.VARIATIONS_FROM:
        return f"The 'variation_category' field is only supported by '{models.VARIATIONS_FROM}'."
    if "variation_category" in body and name in known[: known.index(models.VARIATIONS_FROM)]:
        return f"The 'variation_category' field is only supported by '{models.VARIATIONS_FROM}' and newer models."
    return None


def no_duration(body: Body, _options: Options) -> str | None:
    """No length is taken."""
    return "The 'duration' field is not allowed here." if "duration" in body else None


def duration_beyond_create(body: Body, options: Options) -> str | None:
    """Perhaps only `create_music` takes a length."""
    if options.duration_beyond_create or "duration" not in body:
        return None
    return "The 'duration' field is only allowed when task_type = create_music."


def at_most_30_seconds(body: Body, _options: Options) -> str | None:
    """A voice can be taken from 30 seconds at most."""
    if "vocal_start_s" in body and body.get("vocal_end_s", 0) - body["vocal_start_s"] > 30 + 1e-6:
        return "The range from 'vocal_start_s' to 'vocal_end_s' should be at most 30 seconds."
    return None


def two_clips(body: Body, _options: Options) -> str | None:
    """A mashup is made of two songs."""
    ids = body.get("mashup_clip_ids")
    if isinstance(ids, list) and len(ids) == 2 and all(isinstance(one, str) and one for one in ids):
        return None
    return "The 'mashup_clip_ids' field should be a list of exactly two clip ids."


SHARED_RULES: tuple[Rule, ...] = (gender_is_new, one_text, only_with("auto_lyrics", "custom_mode", value=True))
"""What holds for all generators of songs."""
SOURCED_RULES: tuple[Rule, ...] = (*SHARED_RULES, duration_beyond_create)
"""What holds for those that have a source to keep to."""
PERSONA_REQUIRED = text("persona_id", required=always, missing=texts.PERSONA_REQUIRED)
