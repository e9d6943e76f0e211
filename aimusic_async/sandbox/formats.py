"""The libraries that render the sandbox's files, and the format of its songs: MP3, or WAV where no encoder is there.

The encoder, lameenc, has no build for musl (Alpine Linux), so that it is an extra of its own.
"""

import importlib.util
from functools import cache

EXTRA = "pip install 'aimusic-async[sandbox]'"
_NEEDED = ("numpy", "mido", "PIL")
_ENCODED = ("mp3", "m4a")


def missing(suffix: str = "") -> str:
    """What is not installed of what files (of one kind) need, in words with what to do; empty when all is there."""
    names = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if names:
        return f"the sandbox's files need the extra `sandbox` ({', '.join(names)}): {EXTRA}"
    if suffix in _ENCODED and song_suffix() != "mp3":
        return f"the sandbox's .{suffix} files need the extra `mp3` (lameenc): pip install 'aimusic-async[mp3]'"
    return ""


@cache
def song_suffix() -> str:
    """The ending of a song's file: "mp3" with lameenc, else "wav"."""
    return "mp3" if importlib.util.find_spec("lameenc") is not None else "wav"


def note() -> str:
    """What to say where songs are WAV; empty where they are MP3."""
    if missing() or song_suffix() == "mp3":
        return ""
    return "songs are WAV files, not MP3: lameenc is not installed (pip install 'aimusic-async[mp3]')"
