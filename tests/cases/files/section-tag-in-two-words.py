"""The service splits lyrics at blanks: `[Verse ` and `1]` are two words, and neither belongs into an .lrc file."""

import sys

from aimusic_async import AlignedWord, LyricsTimeline
from aimusic_async.files.lrc import lrc

WORDS = [
    ("[Verse ", 0.5),
    ("1]\n", 0.7),
    ("Lanterns ", 0.92),
    ("glow\n", 1.4),
    ("[Cho", 2.0),
    ("rus]\n", 2.1),
    ("On", 3.0),
]
timeline = LyricsTimeline(alignment=tuple(AlignedWord(word=word, start_s=at, end_s=at + 0.1) for word, at in WORDS))
text = lrc(timeline)
print(text)
sys.exit(text != "[00:00.92]Lanterns glow\n[00:03.00]On\n")
