"""Music for the sandbox: tunes composed from a seed; sound and files are made in `synth` and `files`."""

from .tune import PARTS, Note, Tune, Word, compose

__all__ = ["PARTS", "Note", "Tune", "Word", "compose"]
