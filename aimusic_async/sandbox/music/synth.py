"""From notes to sound: every part is played, placed between left and right, and given the same room.

All of it is linear with gains fixed for the tune, so the stems of a song add up to the song.
"""

from collections.abc import Collection, Iterator
from weakref import WeakKeyDictionary

try:
    import numpy as np
    from numpy.typing import NDArray
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError("music needs numpy: install `aimusic-async[sandbox]`", name=_missing.name) from _missing

from .beats import KICK
from .hits import Hits
from .room import echo, reverberation
from .score import PARTS, Note
from .timbres import TIMBRES
from .tones import SAMPLE_RATE, Samples, Tones
from .tune import Tune
from .voices import Singer

__all__ = ["SAMPLE_RATE", "render"]

_LEVEL = {  # decibels, place from -1 (left) to 1, share sent into the room, how far the kick presses it down
    "Vocals": (-3.5, 0.0, 0.22, 0.0),
    "Backing Vocals": (-14.0, 0.0, 0.4, 0.2),
    "Drums": (4.5, 0.0, 0.05, 0.0),
    "Bass": (-2.5, 0.0, 0.0, 0.6),
    "Guitar": (-5.0, -0.4, 0.18, 0.5),
    "Keyboard": (-6.5, 0.25, 0.2, 0.8),
    "Percussion": (3.0, 0.45, 0.12, 0.0),
    "Strings": (-15.0, -0.2, 0.4, 1.0),
    "Synth": (-9.0, 0.1, 0.3, 1.0),
    "FX": (-10.0, 0.0, 0.35, 0.3),
    "Brass": (-8.0, 0.35, 0.25, 0.5),
    "Woodwinds": (-9.0, -0.3, 0.35, 0.3),
}
_SCATTER = {50: -0.4, 47: -0.1, 45: 0.2, 43: 0.4, 42: 0.25, 46: 0.25, 49: -0.35, 51: 0.35, 63: -0.5, 64: -0.3}
_LOUDEST = 0.97
_FRAME = 64
_gains: WeakKeyDictionary[Tune, float] = WeakKeyDictionary()  # measured once for each tune that is still in use


def render(tune: Tune, parts: Collection[str] | None = None) -> NDArray[np.float32]:
    """The sound of some parts (all of them if None): samples by 2, at 48 kHz, never beyond 1.

    The parts of a song rendered one by one add up to the song. The first stem of a tune takes as long as the whole
    song, which has to be measured once. ValueError for a part that is not one of PARTS.
    """
    chosen = set(PARTS) if parts is None else set(parts)
    if unknown := chosen - set(PARTS):
        raise ValueError(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    whole = len(chosen) == len(PARTS)
    if not whole and tune not in _gains:
        _gains[tune] = _mix(tune, set(PARTS))[1]
    mix, gain = _mix(tune, chosen)
    if whole:
        _gains[tune] = gain
    mix *= np.float32(_gains[tune])
    return np.ascontiguousarray(mix.T)


def _mix(tune: Tune, parts: Collection[str]) -> tuple[Samples, float]:
    """The parts together, two rows, and the gain at which no selection of these parts can go beyond full scale."""
    length = round(tune.seconds * SAMPLE_RATE)
    mix = np.zeros((2, length), dtype=np.float32)
    send = np.zeros(length, dtype=np.float32)
    reach = np.zeros((2, 2, -(-length // _FRAME)), dtype=np.float32)
    press = _pressed(tune, length)
    buffer = np.zeros_like(mix)
    for part in PARTS:
        if part not in parts or not tune.parts[part]:
            continue
        buffer[:] = 0
        for note, sound, place in _sounds(tune, part):
            _place(buffer, note, sound, place)
        decibels, _, wet, pressed = _LEVEL[part]
        buffer *= np.float32(10 ** ((decibels + tune.style.emphasis.get(part, 0.0)) / 20))
        if press is not None and pressed:
            buffer *= 1 - press * np.float32(pressed)
        if part == "Synth":
            echo(buffer, 45 / tune.bpm)
        mix += buffer
        if wet:
            send += (buffer[0] + buffer[1]) * np.float32(wet)
        reach += _reach(buffer)
    wet_sound = reverberation(send, tune.style.genre.room)
    mix += wet_sound
    reach += _reach(wet_sound)
    fade = min(round(min(1.2, tune.seconds / 4) * SAMPLE_RATE), length)
    mix[:, length - fade :] *= np.cos(np.linspace(0, np.pi / 2, fade, dtype=np.float32)) ** 2
    return mix, _LOUDEST / max(float(reach.max(initial=0.0)), 1e-6)


def _reach(samples: Samples) -> Samples:
    """How far up and how far down each side goes in each short frame; summed over parts, no selection goes further."""
    starts = np.arange(0, samples.shape[1], _FRAME)
    up = np.maximum.reduceat(samples, starts, axis=1)
    down = np.minimum.reduceat(samples, starts, axis=1)
    reach: Samples = np.stack([up, -down])
    np.maximum(reach, 0, out=reach)
    return reach


def _place(buffer: Samples, note: Note, sound: Samples, place: float) -> None:
    """Add a sound to both sides; equal power, so that a sound in the middle is as loud as one at the side."""
    start = round(note.start * SAMPLE_RATE)
    count = min(sound.shape[1], buffer.shape[1] - start)
    if count <= 0:
        return
    angle = (place + 1) * np.pi / 4
    for row, gain in enumerate((np.cos(angle), np.sin(angle))):
        buffer[row, start : start + count] += sound[row % len(sound), :count] * np.float32(gain * note.velocity)


def _sounds(tune: Tune, part: str) -> Iterator[tuple[Note, Samples, float]]:
    """Every note of a part with its sound and its place."""
    notes, place = tune.parts[part], _LEVEL[part][1]
    if part == "Vocals":
        singer = Singer(high=tune.style.register > 60)
        for note, syllable in zip(notes, tune.song.syllables, strict=True):
            yield note, singer.sing(note.pitch, note.end - note.start, syllable), place
    elif part == "Backing Vocals":
        choir = Singer(high=tune.style.register <= 60, breath=0.02, vibrato=14)
        for nth, note in enumerate(notes):
            seconds, vowel = note.end - note.start, "aou"[nth // 8 % 3]
            rows = [choir.sing(note.pitch, seconds, vowel, detune=cents, scoop=25)[0] for cents in (-9.0, 8.0)]
            yield note, np.stack(rows), place
    elif part in ("Drums", "Percussion"):
        hits = Hits()
        for note in notes:
            yield note, hits.drum(note.pitch), _SCATTER.get(note.pitch, place)
    elif part == "FX":
        hits = Hits()
        for note in notes:
            yield note, hits.effect(note.pitch, note.end - note.start), place
    else:
        tones = Tones(TIMBRES[tune.style.timbres[part]])
        for note in notes:
            yield note, tones.play(note.pitch, note.end - note.start), place


def _pressed(tune: Tune, length: int) -> Samples | None:
    """How far the other parts step back behind the kick at each sample, or None if they do not."""
    depth = tune.style.genre.pump
    if not depth:
        return None
    press = np.zeros(length, dtype=np.float32)
    dip = np.float32(depth) * np.exp(-np.arange(int(0.35 * SAMPLE_RATE)) / (0.11 * SAMPLE_RATE)).astype(np.float32)
    dip[:240] *= np.linspace(0, 1, 240, dtype=np.float32)
    for note in tune.parts["Drums"]:
        if note.pitch == KICK:
            start = round(note.start * SAMPLE_RATE)
            here = press[start : start + len(dip)]
            np.maximum(here, dip[: len(here)], out=here)
    return press
