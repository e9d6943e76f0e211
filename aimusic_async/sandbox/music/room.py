"""The room: a reverberation for everybody, and an echo in time with the music. Both are linear."""

import numpy as np

from .tones import SAMPLE_RATE, Samples

_BEFORE_S = 0.018  # until the first reflection comes back
_SOFT = 10  # samples over which the answer is averaged: walls swallow what is high


def reverberation(send: Samples, seconds: float) -> Samples:
    """What the room answers: two rows, as long as what was sent."""
    size = int(min(seconds, 3.0) * SAMPLE_RATE)
    noise = np.random.default_rng(17).standard_normal((2, size + _SOFT))
    total = np.cumsum(noise, axis=1)
    walls = (total[:, _SOFT:] - total[:, :-_SOFT]) * np.exp(-np.linspace(0, 6.0, size))
    walls *= 0.9 / np.sqrt((walls**2).sum(axis=1, keepdims=True))
    before = np.zeros((2, int(_BEFORE_S * SAMPLE_RATE)), dtype=np.float32)
    return _convolve(send, np.concatenate([before, walls.astype(np.float32)], axis=1))


def echo(buffer: Samples, seconds: float) -> None:
    """Add two weaker repetitions, one on each side, in place."""
    later = round(seconds * SAMPLE_RATE)
    if 0 < 2 * later < buffer.shape[1]:
        dry = buffer.copy()
        buffer[0, later:] += dry[1, :-later] * np.float32(0.32)
        buffer[1, 2 * later :] += dry[0, : -2 * later] * np.float32(0.2)


def _convolve(signal: Samples, answers: Samples) -> Samples:
    """Block by block, so that a long song needs no more memory than a short one."""
    size = 1 << (answers.shape[1].bit_length() + 1)
    hop = size - answers.shape[1] + 1
    spectra = np.fft.rfft(answers, size, axis=1)
    result = np.zeros((2, len(signal) + size), dtype=np.float32)
    for start in range(0, len(signal), hop):
        block = np.fft.rfft(signal[start : start + hop], size)
        result[:, start : start + size] += np.fft.irfft(block * spectra, size, axis=1)
    return result[:, : len(signal)]
