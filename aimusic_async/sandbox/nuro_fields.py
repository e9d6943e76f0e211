"""Nuro's request fields and their long lists of values, as tables. Pure."""

import unicodedata
from typing import Any

from aimusic_async.sandbox import texts
from aimusic_async.sandbox.options import Options
from aimusic_async.sandbox.rules import WEBHOOK, Body, Field, always, choice, is_number, listing, number, text


def _values(listed: str) -> tuple[str, ...]:
    return tuple(listed.split("|"))


GENRES = _values(
    "Folk|Pop|Rock|Chinese Style|Hip Hop/Rap|R&B/Soul|Punk|Electronic|Jazz|Reggae|DJ|Pop Punk|Disco|Future Bass|"
    "Pop Rap|Trap Rap|R&B Rap|Chinoiserie Electronic|GuFeng Music|Pop Rock|Jazz Pop|Bossa Nova|"
    "Contemporary R&B"
)
MOODS = _values(
    "Happy|Dynamic/Energetic|Sentimental/Melancholic/Lonely|Inspirational/Hopeful|Nostalgic/Memory|Excited|"
    "Sorrow/Sad|Chill|Romantic|Miss|Groovy/Funky|Dreamy/Ethereal|Calm/Relaxing"
)
TIMBRES = _values(
    "Warm|Bright|Husky|Electrified voice|Sweet_AUDIO_TIMBRE|Cute_AUDIO_TIMBRE|Loud and sonorous|Powerful|Sexy/Lazy"
)
GENDERS = ("Female", "Male")
BGM_GENRES = _values(
    "corporate|dance/edm|orchestral|chill out|rock|hip hop|folk|funk|ambient|holiday|jazz|kids|world|travel|"
    "commercial|advertising|driving|cinematic|upbeat|epic|inspiring|business|video game|dark|pop|trailer|modern|"
    "electronic|documentary|soundtrack|fashion|acoustic|movie|tv|high tech|industrial|dance|video|vlog|marketing|"
    "game|radio|promotional|sports|party|summer|beauty"
)
BGM_MOODS = _values(
    "positive|uplifting|energetic|happy|bright|optimistic|hopeful|cool|dreamy|fun|light|powerful|calm|confident|"
    "joyful|dramatic|peaceful|playful|soft|groovy|reflective|easy|relaxed|lively|smooth|romantic|intense|elegant|"
    "mellow|emotional|sentimental|cheerful happy|contemplative|soothing|proud|passionate|sweet|mystical|tranquil|"
    "cheerful|casual|beautiful|ethereal|melancholy|sad|aggressive|haunting|adventure|serene|sincere|funky|"
    "funny"
)
INSTRUMENTS = _values(
    "piano|drums|guitar|percussion|synth|electric guitar|acoustic guitar|bass guitar|brass|violin|cello|flute|organ|"
    "trumpet|ukulele|saxophone|double bass|harp|glockenspiel|synthesizer|keyboard|marimba|bass|banjo|"
    "strings"
)
THEMES = _values(
    "inspirational|motivational|achievement|discovery|every day|love|technology|lifestyle|journey|meditation|drama|"
    "children|hope|fantasy|holiday|health|family|real estate|media|kids|science|education|progress|world|vacation|"
    "training|christmas|sales"
)
SEGMENTS = ("intro", "verse", "chorus", "inst", "bridge", "outro")
VERSIONS = ("v1.0", "v2.0")

VOCAL = (
    text("lyrics", most=2000, required=always),
    choice("gender", GENDERS),
    choice("genre", GENRES),
    choice("mood", MOODS),
    choice("timbre", TIMBRES),
    number("duration", 30, 240, whole=True),
    *WEBHOOK,
)
_DESCRIPTION = text("description", required=always)


def _segments(value: Any, _body: Body, _options: Options) -> str | None:
    if not isinstance(value, list) or not value:
        return "The 'segments' field should be a list of segments."
    for segment in value:
        if not isinstance(segment, dict) or segment.get("name") not in SEGMENTS:
            return f"The name of a segment should be {texts.alternatives(SEGMENTS)}."
        least = 30 if len(value) == 1 else 5
        seconds = segment.get("duration")
        if not is_number(seconds) or not isinstance(seconds, int) or not least <= seconds <= 120:
            return f"The duration of a segment should be an integer between {least} and 120."
    if not 30 <= sum(segment["duration"] for segment in value) <= 120:
        return "The durations of the segments should add up to between 30 and 120."
    return None


BGM_V1 = (
    choice("version", VERSIONS),
    _DESCRIPTION,
    listing("genre", BGM_GENRES, 5),
    listing("mood", BGM_MOODS, 5),
    listing("instrument", INSTRUMENTS, 5),
    listing("theme", THEMES, 5),
    number("duration", 1, 60, whole=True),
    *WEBHOOK,
)
BGM_V2 = (
    text("description", most=199, stated=200, required=always),
    Field("segments", _segments),
    number("duration", 30, 120, whole=True),
    *WEBHOOK,
)


def duration_is_the_sum(body: Body, _options: Options) -> str | None:
    """With segments, a duration says nothing new."""
    segments = body.get("segments")
    if segments and "duration" in body and body["duration"] != sum(segment["duration"] for segment in segments):
        return "The 'duration' field should be left out or equal the sum of the segments."
    return None


def long_enough(body: Body, options: Options) -> str | None:
    """Lyrics may have to have a least length."""
    if len(body["lyrics"]) < options.nuro_lyrics_min:
        return f"The lyrics character length should be at least {options.nuro_lyrics_min}."
    return None


def in_a_known_language(lyrics: str) -> bool:
    """Whether the letters are Latin or Chinese; Nuro sings nothing else."""
    return all(
        unicodedata.name(letter, "").startswith(("LATIN", "CJK", "FULLWIDTH LATIN", "IDEOGRAPHIC", "MODIFIER"))
        for letter in lyrics
        if letter.isalpha()
    )
