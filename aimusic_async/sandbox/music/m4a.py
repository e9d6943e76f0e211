"""Puts MP3 frames into an MPEG-4 file: a real .m4a, of the kind that says so in its header. Pure."""

import struct
from collections.abc import Sequence

_MATRIX = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_MP3_IN_MP4 = 0x6B
"""The object type of MPEG-1 layer III."""
_AUDIO_STREAM = 0x15


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _full(kind: bytes, *parts: bytes, flags: int = 0) -> bytes:
    """A box with version and flags."""
    return _box(kind, struct.pack(">I", flags), *parts)


def _descriptor(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">BB", tag, len(body)) + body


def m4a(frames: Sequence[bytes], *, rate: int, samples: int, channels: int = 2) -> bytes:
    """The file of these frames, each of which holds `samples` at this rate."""
    duration = len(frames) * samples
    config = _descriptor(4, struct.pack(">BB3xII", _MP3_IN_MP4, _AUDIO_STREAM, 0, 0))
    stream = _full(b"esds", _descriptor(3, struct.pack(">HB", 1, 0), config, _descriptor(6, b"\x02")))
    entry = _box(b"mp4a", struct.pack(">6xH8xHH4xI", 1, channels, 16, rate << 16), stream)

    def movie(first_frame: int) -> bytes:
        tables = _box(
            b"stbl",
            _full(b"stsd", struct.pack(">I", 1), entry),
            _full(b"stts", struct.pack(">III", 1, len(frames), samples)),
            _full(b"stsc", struct.pack(">IIII", 1, 1, len(frames), 1)),
            _full(b"stsz", struct.pack(">II", 0, len(frames)), b"".join(struct.pack(">I", len(one)) for one in frames)),
            _full(b"stco", struct.pack(">II", 1, first_frame)),
        )
        media = _box(
            b"mdia",
            _full(b"mdhd", struct.pack(">IIIIHH", 0, 0, rate, duration, 0x55C4, 0)),
            _full(b"hdlr", struct.pack(">4x4s12x", b"soun"), b"sound\0"),
            _box(
                b"minf",
                _full(b"smhd", bytes(4)),
                _box(b"dinf", _full(b"dref", struct.pack(">I", 1), _full(b"url ", flags=1))),
                tables,
            ),
        )
        header = struct.pack(">IIII4xI8xhhHH", 0, 0, 1, 0, duration, 0, 0, 0x100, 0)
        track = _box(b"trak", _full(b"tkhd", header, _MATRIX, bytes(8), flags=7), media)
        about = struct.pack(">IIIIIH10x", 0, 0, rate, duration, 0x10000, 0x100)
        return _box(b"moov", _full(b"mvhd", about, _MATRIX, bytes(24), struct.pack(">I", 2)), track)

    kind = _box(b"ftyp", b"M4A ", bytes(4), b"M4A mp42isom")
    start = len(kind) + len(movie(0)) + 8
    return b"".join((kind, movie(start), _box(b"mdat", *frames)))
