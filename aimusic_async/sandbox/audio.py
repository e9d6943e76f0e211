"""Recordings that were uploaded: their bytes, and how long they play. Pure."""

import io
import wave

from attrs import field, frozen

SUFFIXES = {
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/vnd.wave": "wav",
    "audio/ogg": "ogg",
    "audio/flac": "flac",
    "audio/x-flac": "flac",
    "audio/aac": "aac",
    "audio/mp4": "m4a",
    "audio/x-m4a": "m4a",
}


@frozen(kw_only=True)
class Audio:
    """One recording."""

    data: bytes = field(repr=False)
    content_type: str
    seconds: float | None
    """None when the sandbox cannot read its format (it reads WAV and MP3)."""

    @property
    def suffix(self) -> str:
        """The ending of its file's name."""
        return SUFFIXES.get(self.content_type, "bin")


def seconds_of(data: bytes) -> float | None:
    """How long a WAV or MP3 file plays; None for anything else."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        try:
            with wave.open(io.BytesIO(data)) as sound:
                return float(sound.getnframes() / sound.getframerate())
        except (wave.Error, EOFError, ZeroDivisionError):
            return None
    return _mp3_seconds(data)


_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by MPEG version bits
_KBPS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBPS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


def _mp3_seconds(data: bytes) -> float | None:
    frames = mp3_frames(data)
    return sum(lasts for _, lasts in frames) if len(frames) > 1 else None


def mp3_frames(data: bytes) -> list[tuple[bytes, float]]:
    """The frames of an MP3 file, and how long each plays."""
    at = 0
    if data[:3] == b"ID3" and len(data) > 10:
        size = 0
        for byte in data[6:10]:
            size = size << 7 | byte & 0x7F
        at = 10 + size
    frames: list[tuple[bytes, float]] = []
    while at + 4 <= len(data):
        frame = _layer3_frame(data[at : at + 4])
        if frame is None:
            break
        length, lasts = frame
        frames.append((data[at : at + length], lasts))
        at += length
    return frames


def _layer3_frame(head: bytes) -> tuple[int, float] | None:
    """Length in bytes and in seconds of the MPEG layer III frame that begins with `head`."""
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    kbps, rate = head[2] >> 4, head[2] >> 2 & 3
    if head[0] != 0xFF or head[1] & 0xE0 != 0xE0 or version == 1 or layer != 1 or kbps in (0, 15) or rate == 3:
        return None
    samples = 1152 if version == 3 else 576
    bits = (_KBPS_1 if version == 3 else _KBPS_2)[kbps] * 1000
    hertz = _RATES[version][rate]
    return samples // 8 * bits // hertz + (head[2] >> 1 & 1), samples / hertz
