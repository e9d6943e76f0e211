"""What the tags ask for: genre, tempo, key, mood, and how loud and how busy each part is."""

import random
import re
from collections.abc import Callable, Mapping

import attrs

from .genres import FALLBACKS, GENRES, INSTRUMENTS, TIMBRES_OF, Genre
from .harmony import KEY_NAMES

_BPM = re.compile(r"(?<![\d.])(\d{2,3}(?:\.\d{1,2})?)\s*bpm|\b(?:bpm|tempo)\s*[:=]?\s*(\d{2,3}(?:\.\d{1,2})?)(?![\d.])")
_KEY = re.compile(r"(?:^|[\s,])([a-g])(#|♯|b|♭|[ -]?sharp|[ -]?flat)?[ -]?(major|minor|maj|min)\b")
_WORDS = re.compile(r"[a-z0-9]+")

_SLOW = ("slow", "ballad", "sleepy", "downtempo", "lullaby")
_FAST = ("fast", "uptempo", "up tempo", "energetic", "driving", "frantic")
_DARK = (
    *("sad", "dark", "melancholic", "melancholy", "melancholia", "moody", "minor", "haunting", "gloomy", "somber"),
    *("mysterious", "lonely", "brooding", "tense", "ominous", "heartbreak", "sorrowful", "eerie", "emotional"),
)
_BRIGHT = (
    *("happy", "bright", "cheerful", "uplifting", "joyful", "major", "sunny", "playful", "feel good", "upbeat"),
    *("hopeful", "triumphant", "warm", "fun", "carefree", "celebratory"),
)
_FEMALE = ("female", "woman", "girl", "soprano", "feminine")
_MALE = ("male", "man", "boy", "baritone", "tenor", "masculine")
_SUPPORT = (0.0, 0.45, 0.6, 0.75, 0.9)  # of the loudest section's energy: from where on a part of this rank plays


@attrs.frozen(eq=False)
class Style:
    """What a tune is like before a note is written."""

    genre: Genre
    bpm: float
    beats: int
    key: int
    scale: str
    swing: float
    sevenths: bool
    timbres: Mapping[str, str]
    """The sound of each pitched part, by its name in the table of timbres."""
    threshold: Mapping[str, float]
    """The energy (0-1) of a section from which on each part plays."""
    emphasis: Mapping[str, float]
    """Gain in decibels for parts that the tags name."""
    lead: str
    """The part that carries the melody where nobody sings."""
    register: int
    """The MIDI pitch in the middle of the singer's range."""

    @property
    def key_name(self) -> str:
        """The key as people say it, such as "Eb minor"."""
        return f"{KEY_NAMES[self.key]} {self.scale}"


def choose(tags: str, rng: random.Random) -> Style:
    """Decide the style: what the tags say is kept, what they leave open is drawn."""
    lowered = tags.lower()
    words = f" {' '.join(_WORDS.findall(lowered))} "

    def says(*any_of: str) -> bool:
        return any(f" {word} " in words for word in any_of)

    fallback = rng.choice(FALLBACKS)
    named_genre = next((genre for genre in GENRES if says(*genre.words)), None)
    genre = named_genre or next(genre for genre in GENRES if genre.groove == fallback)
    key, scale = _key(lowered, genre, rng, dark=says(*_DARK), bright=says(*_BRIGHT))
    named = [part for part, names in INSTRUMENTS.items() if says(*names)]
    drawn = 67 if rng.random() < 0.55 else 55
    ranks = _ranks(genre, named, rng)
    return Style(
        genre=genre,
        bpm=_tempo(lowered, genre, rng, slow=says(*_SLOW), fast=says(*_FAST)),
        beats=genre.beats,
        key=key,
        scale=scale,
        swing=genre.swing,
        sevenths=rng.random() < genre.sevenths,
        timbres={part: _timbre(part, genre, says, rng) for part in TIMBRES_OF},
        threshold={part: _SUPPORT[rank] for part, rank in ranks.items()},
        emphasis=dict.fromkeys(named, 3.5),
        lead=_lead(genre, named, rng),
        register=_register(drawn, female=says(*_FEMALE), male=says(*_MALE)),
    )


def _register(drawn: int, *, female: bool, male: bool) -> int:
    if female != male:
        return 67 if female else 55
    return drawn


def _tempo(tags: str, genre: Genre, rng: random.Random, *, slow: bool, fast: bool) -> float:
    low, high = genre.bpm
    drawn = rng.uniform(low, high)
    if asked := _BPM.search(tags):
        literal = float(asked.group(1) or asked.group(2))
        if 30 <= literal <= 300:
            return literal
    if slow and not fast:
        drawn = 62 + (drawn - low) / (high - low) * 18
    elif fast and not slow:
        drawn = high + (drawn - low) * 0.6
    return round(drawn, 1)


def _key(tags: str, genre: Genre, rng: random.Random, *, dark: bool, bright: bool) -> tuple[int, str]:
    key = rng.randrange(12)
    minor = rng.random() < genre.minor
    flavour = rng.random()
    if dark != bright:
        minor = dark
    if asked := _KEY.search(tags):
        letter, accidental, mode = asked.groups()
        shift = 0 if not accidental else -1 if accidental in ("b", "♭") or "flat" in accidental else 1
        return (("c d ef g a b".index(letter) + shift) % 12, "minor" if mode.startswith("min") else "major")
    if minor:
        return key, "dorian" if flavour < genre.modal else "minor"
    return key, "mixolydian" if flavour < genre.modal * 0.5 else "major"


def _ranks(genre: Genre, named: list[str], rng: random.Random) -> dict[str, int]:
    """Rank 0 plays all along, rank 4 only where the song is at its fullest."""
    others = [part for part in TIMBRES_OF if part not in genre.core]
    rng.shuffle(others)
    ranks = {part: 0 if nth < 2 else 1 for nth, part in enumerate(genre.core)}
    ranks |= {part: min(2 + nth // 2, 4) for nth, part in enumerate(others)}
    ranks |= {"Drums": genre.drums, "Percussion": rng.choice((1, 2, 3)), "FX": 0}
    return ranks | {part: min(ranks.get(part, 0), 1) for part in named}


def _timbre(part: str, genre: Genre, says: Callable[..., bool], rng: random.Random) -> str:
    sounds = TIMBRES_OF[part]
    drawn = rng.choice(genre.sounds.get(part) or tuple(sounds))
    return next((sound for sound, words in sounds.items() if says(*words)), drawn)


def _lead(genre: Genre, named: list[str], rng: random.Random) -> str:
    melodic = [part for part in named if part in ("Guitar", "Keyboard", "Strings", "Synth", "Brass", "Woodwinds")]
    drawn = rng.choice(genre.leads)
    return melodic[0] if melodic else drawn
