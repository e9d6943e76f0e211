"""What the sandbox knows about a clip's tune: tempo, notes, words and parts."""

from collections.abc import Collection
from random import Random
from typing import Any

from attrs import evolve

from aimusic_async.sandbox.music import PARTS, Tune, compose
from aimusic_async.sandbox.tasks import Clip, Score

VOICES = ("Vocals", "Backing Vocals")
KEPT = 64

Tracks = list[tuple[str, tuple[str, ...]]]
"""Names of tracks, and the parts that sound in each."""


class Tunes:
    """Composes tunes when they are first needed, and keeps the last few."""

    def __init__(self) -> None:
        self._kept: dict[Score, Tune] = {}

    def of(self, clip: Clip) -> Tune:
        """The tune of a clip; equal scores are the same tune."""
        score = clip.score
        if score not in self._kept:
            if len(self._kept) >= KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[score] = _composed(score)
        return self._kept[score]


def _composed(score: Score) -> Tune:
    tune = compose(
        score.seed,
        title=score.title,
        tags=score.tags,
        lyrics=score.lyrics,
        seconds=score.seconds,
        instrumental=score.instrumental,
    )
    if score.mix is None:
        return tune
    seed, decibels = score.mix
    chance = Random(seed)
    gains = {part: tune.style.emphasis.get(part, 0.0) + chance.uniform(-decibels, decibels) for part in PARTS}
    return evolve(tune, style=evolve(tune.style, emphasis=gains))


def tempo(tune: Tune) -> tuple[float, float, float]:
    """Average, least and greatest beats a minute."""
    return tune.bpm, tune.bpm_min, tune.bpm_max


def timeline(tune: Tune) -> list[dict[str, Any]]:
    """The words, and when they are sung."""
    return [
        {"word": word.text, "start_s": word.start_s, "end_s": word.end_s, "p_align": word.p_align, "success": True}
        for word in tune.words
    ]


def instruments(tune: Tune, parts: Collection[str] | None) -> list[dict[str, Any]]:
    """The notes of those `parts` (None: all) that sound."""
    return [
        {
            "name": name,
            "notes": [
                {"pitch": note.pitch, "start": note.start, "end": note.end, "velocity": note.velocity} for note in notes
            ],
        }
        for name, notes in tune.parts.items()
        if notes and (parts is None or name in parts)
    ]


def full_tracks(count: int) -> Tracks:
    """One track a part, going round again when there are more tracks than parts."""
    return [(PARTS[index % len(PARTS)], (PARTS[index % len(PARTS)],)) for index in range(count)]


def basic_tracks() -> Tracks:
    """The voices, and everything else."""
    return [("Vocals", VOICES), ("Instrumental", tuple(name for name in PARTS if name not in VOICES))]
