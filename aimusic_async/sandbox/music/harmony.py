"""Scales, chords and the progressions that carry a verse or a chorus."""

import random
from collections.abc import Sequence

import attrs

SCALES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
}
"""Semitones above the tonic for each degree of a scale."""

KEY_NAMES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")

# Degrees are counted from 0, so (0, 4, 5, 3) is I-V-vi-IV. The first pool suits verses, the second choruses.
_BRIGHT = (
    ((0, 3, 0, 4), (0, 5, 3, 4), (0, 2, 3, 4), (0, 4, 1, 3), (0, 3, 5, 4), (5, 3, 0, 4)),
    ((0, 4, 5, 3), (3, 0, 4, 5), (0, 5, 3, 4), (3, 4, 5, 0), (1, 4, 0, 5), (0, 2, 5, 3)),
)
_DARK = (
    ((0, 5, 3, 6), (0, 3, 0, 6), (0, 6, 5, 6), (0, 2, 3, 5), (0, 5, 0, 6)),
    ((0, 5, 2, 6), (5, 6, 0, 2), (0, 2, 6, 3), (5, 2, 6, 0), (0, 6, 5, 3)),
)
_DORIAN = (
    ((0, 3, 0, 3), (0, 2, 3, 0), (0, 6, 3, 0)),
    ((0, 3, 6, 0), (2, 3, 0, 6), (0, 2, 6, 3)),
)
_MIXOLYDIAN = (
    ((0, 6, 3, 0), (0, 3, 0, 6), (0, 0, 6, 3)),
    ((0, 6, 3, 0), (3, 6, 0, 0), (0, 4, 6, 3)),
)
_POOLS = {"major": _BRIGHT, "mixolydian": _MIXOLYDIAN, "minor": _DARK, "dorian": _DORIAN}


@attrs.frozen
class Chord:
    """A chord as pitch classes 0-11, root first."""

    root: int
    tones: tuple[int, ...]


def chord(key: int, scale: str, degree: int, *, seventh: bool = False) -> Chord:
    """The chord of stacked thirds on one degree of the scale."""
    steps = SCALES[scale]
    tones = tuple((key + steps[(degree + third) % 7]) % 12 for third in ((0, 2, 4, 6) if seventh else (0, 2, 4)))
    return Chord(root=tones[0], tones=tones)


def dominant(key: int) -> Chord:
    """The major chord on the fifth degree, which leads home in every scale."""
    return Chord(root=(key + 7) % 12, tones=((key + 7) % 12, (key + 11) % 12, (key + 2) % 12))


def progression(scale: str, kind: str, rng: random.Random) -> tuple[int, ...]:
    """Four degrees for a kind of section, drawn from those that listeners know."""
    verses, choruses = _POOLS[scale]
    if kind == "chorus":
        return rng.choice(choruses)
    if kind == "bridge":
        start = rng.choice((3, 5))
        return (start, *rng.choice(verses)[1:3], 4)
    return rng.choice(verses)


def degree_pitch(key: int, scale: str, degree: int, base: int) -> int:
    """The MIDI pitch of a scale degree (any integer; 7 is one octave up), where `base` is the octave's lowest C."""
    octave, step = divmod(degree, 7)
    return base + key + SCALES[scale][step] + 12 * octave


def nearest(tones: Sequence[int], pitch: int) -> int:
    """The pitch with one of these pitch classes that lies nearest to `pitch`; the lower of two equals."""
    best, distance = pitch, 99
    for tone in tones:
        up = (tone - pitch) % 12
        for candidate in (up - 12, up):
            if abs(candidate) < distance:
                best, distance = pitch + candidate, abs(candidate)
    return best


def voicing(tones: Sequence[int], centre: int) -> tuple[int, ...]:
    """The chord laid closely around `centre`, ascending. Tones that two chords share stay where they are."""
    low = centre - 6
    return tuple(sorted(low + (tone - low) % 12 for tone in tones))
