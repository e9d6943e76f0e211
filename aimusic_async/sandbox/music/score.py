"""The values that a tune is written in: its parts, notes and words, and one stream of chance for each purpose."""

import random

import attrs

PARTS: tuple[str, ...] = (
    "Vocals",
    "Backing Vocals",
    "Drums",
    "Bass",
    "Guitar",
    "Keyboard",
    "Percussion",
    "Strings",
    "Synth",
    "FX",
    "Brass",
    "Woodwinds",
)
"""The twelve parts of a song, in the order in which the service lists its stems."""


@attrs.frozen
class Note:
    """One note: MIDI pitch 0-127 (a drum of the General MIDI kit in Drums and Percussion), seconds, loudness 0-1."""

    pitch: int
    start: float
    end: float
    velocity: float


@attrs.frozen
class Word:
    """One word of the lyrics timeline, with the tags and spaces around it, and when it is sung (seconds)."""

    text: str
    start_s: float
    end_s: float
    p_align: float


def stream(seed: int, purpose: str) -> random.Random:
    """Chance for one purpose only, so that a new part never changes what the others play."""
    return random.Random(f"{seed}/{purpose}".encode("utf-8", "surrogatepass"))
