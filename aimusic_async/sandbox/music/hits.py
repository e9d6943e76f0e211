"""Drums, hand percussion and effects: noise and sweeping tones shaped into hits."""

from collections.abc import Callable

import numpy as np

from . import beats
from .tones import SAMPLE_RATE, Samples, frequency, ramp


class Hits:
    """Plays the pitches of the General MIDI drum kit, and the effects; keeps each sound that comes again."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int, int], Samples] = {}

    def drum(self, pitch: int) -> Samples:
        """One hit of a drum, in one row."""
        return self._keep("drum", pitch, 0, lambda: _drum(pitch))

    def effect(self, pitch: int, seconds: float) -> Samples:
        """One effect: a riser lasts so many seconds, the others as they ring."""
        length = round(seconds * SAMPLE_RATE) if pitch == beats.RISER else 0
        return self._keep("effect", pitch, length, lambda: _effect(pitch, length))

    def _keep(self, kind: str, pitch: int, length: int, make: Callable[[], Samples]) -> Samples:
        key = (kind, pitch, length)
        if key not in self._kept:
            self._kept[key] = np.atleast_2d(make())
        return self._kept[key]


def _noise(seconds: float, low: float, high: float, seed: int) -> Samples:
    """Noise between two frequencies, its loudest sample 1."""
    count = int(seconds * SAMPLE_RATE)
    size = 1 << max(count - 1, 1).bit_length()
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(size))
    at = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    spectrum *= 1 / (1 + (low / np.maximum(at, 1)) ** 4) / (1 + (at / high) ** 4)
    noise = np.fft.irfft(spectrum)[:count].astype(np.float32)
    noise /= np.abs(noise).max()
    return noise


def _sweep(seconds: float, start: float, end: float, fall_s: float) -> Samples:
    """A sine that falls from one frequency to another."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    cycles = end * time + (start - end) * fall_s * (1 - np.exp(-time / fall_s))
    return np.sin(2 * np.pi * cycles).astype(np.float32)


def _fading(sound: Samples, fade_s: float, loudness: float = 1.0, *, attack_s: float = 0.0005) -> Samples:
    """Let a sound fade to a third in so many seconds, and end at nothing."""
    time = np.arange(len(sound)) / SAMPLE_RATE
    shape = np.exp(-time / fade_s) * np.minimum(1, time / attack_s) * np.minimum(1, time[::-1] / 0.01)
    return sound * (loudness * shape).astype(np.float32)


def _ring(seconds: float, partials: tuple[tuple[float, float], ...], fade_s: float) -> Samples:
    """Sines of given frequencies and loudnesses, fading together."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    total = sum(loudness * np.sin(2 * np.pi * hertz * time) for hertz, loudness in partials)
    return _fading(np.asarray(total, dtype=np.float32), fade_s)


def _drum(pitch: int) -> Samples:
    make = _DRUMS.get(pitch)
    return make() if make else _fading(_noise(0.1, 1000, 6000, pitch), 0.03, 0.5)


def _kick() -> Samples:
    boom = _fading(_sweep(0.42, 220, 52, 0.03), 0.11)
    boom[:480] += _fading(_noise(0.01, 1500, 6000, 1), 0.003, 0.5)
    return boom


def _snare() -> Samples:
    rattle = _fading(_noise(0.28, 900, 9000, 2), 0.075, 0.75)
    shell = _fading(_sweep(0.28, 260, 185, 0.02), 0.06, 0.5)
    return rattle + shell


def _clap() -> Samples:
    clap = np.zeros(int(0.3 * SAMPLE_RATE), dtype=np.float32)
    for nth, at in enumerate((0, 520, 1010, 1500)):
        burst = _fading(_noise(0.2, 900, 3500, 30 + nth), 0.085 if nth == 3 else 0.008, 0.7)
        clap[at : at + len(burst)] += burst
    return clap


def _tom(hertz: float) -> Samples:
    tom = _fading(_sweep(0.4, hertz * 1.7, hertz, 0.05), 0.14, 0.8)
    tom[:960] += _fading(_noise(0.02, 500, 4000, 4), 0.004, 0.25)
    return tom


def _crash() -> Samples:
    return _fading(_noise(1.8, 2500, 14_000, 6), 0.45, 0.6, attack_s=0.002)


def _ride() -> Samples:
    ping = _ring(0.9, ((3150, 0.16), (4720, 0.14), (6130, 0.12), (7890, 0.08)), 0.2)
    return ping + _fading(_noise(0.9, 4000, 13_000, 7), 0.16, 0.28)[: len(ping)]


def _conga(hertz: float) -> Samples:
    return _fading(_sweep(0.3, hertz * 1.25, hertz, 0.02), 0.075, 0.8)


_DRUMS: dict[int, Callable[[], Samples]] = {
    beats.KICK: _kick,
    beats.RIM: lambda: _ring(0.08, ((1750, 0.5), (2600, 0.3)), 0.012) + _fading(_noise(0.08, 800, 5000, 3), 0.01, 0.4),
    beats.SNARE: _snare,
    beats.CLAP: _clap,
    beats.HAT: lambda: _fading(_noise(0.08, 6500, 15_000, 5), 0.022, 0.9),
    beats.OPEN_HAT: lambda: _fading(_noise(0.4, 6000, 15_000, 8), 0.11, 0.7),
    beats.CRASH: _crash,
    beats.RIDE: _ride,
    50: lambda: _tom(196),
    47: lambda: _tom(147),
    45: lambda: _tom(117),
    43: lambda: _tom(92),
    beats.TAMBOURINE: lambda: _fading(_noise(0.18, 6000, 14_000, 9), 0.05, 0.6, attack_s=0.004),
    beats.COWBELL: lambda: _ring(0.25, ((562, 0.4), (845, 0.35), (1690, 0.1)), 0.06),
    beats.CONGA_HIGH: lambda: _conga(330),
    beats.CONGA_LOW: lambda: _conga(220),
    beats.SHAKER: lambda: _fading(_noise(0.1, 5000, 12_000, 10), 0.03, 1.6, attack_s=0.015),
    beats.CLAVES: lambda: _ring(0.12, ((2480, 0.6), (5000, 0.1)), 0.022),
    beats.WOODBLOCK: lambda: _ring(0.12, ((860, 0.5), (1290, 0.25)), 0.02),
    beats.TRIANGLE: lambda: _ring(1.0, ((4180, 0.2), (6890, 0.15), (9350, 0.1)), 0.3),
}


def _effect(pitch: int, length: int) -> Samples:
    if pitch == beats.IMPACT:
        boom = _fading(_sweep(2.0, 90, 34, 0.12), 0.5, attack_s=0.003)
        return boom + _fading(_noise(2.0, 60, 900, 11), 0.35, 0.35)[: len(boom)]
    if pitch == beats.RISER:
        return _riser(length)
    hertz = frequency(pitch)
    return _ring(1.2, ((hertz, 0.35), (hertz * 2.01, 0.12), (min(hertz * 3.9, 18_000), 0.05)), 0.3)


def _riser(length: int) -> Samples:
    """Noise that opens from dark to bright and grows, and stops on the beat."""
    seconds = max(length, 64) / SAMPLE_RATE
    dark, bright = _noise(seconds, 200, 1200, 12), _noise(seconds, 2500, 9000, 13)
    rise = np.linspace(0, 1, len(dark), dtype=np.float32)
    riser = np.stack([dark, np.roll(dark, 311)])
    riser += (np.stack([bright, np.roll(bright, 311)]) - riser) * rise
    riser *= 0.6 * rise**2
    ramp(riser, 0.0, 0.01)
    return riser
