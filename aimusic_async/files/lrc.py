"""Words in time: a timeline as an .lrc file, which players show with the song, and word by word for tags. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from ..api.results import LyricsTimeline

# [Chorus] and the like: not sung, and in an .lrc file brackets hold times. The service splits them over words as it
# splits all at blanks, so they are found in the whole text; one that is never closed swallows no more than its line.
_SECTION = re.compile(r"\[[^\[\]]{0,80}\]|\[[^\]\n]*\]")


def lrc(timeline: LyricsTimeline) -> str:
    """Return one line for each line of the lyrics, with the time of its first word; empty when nothing is sung."""
    lines: list[tuple[float, str]] = [(0.0, "")]
    for at, word in sung(timeline):
        for number, text in enumerate(word.split("\n")):
            if number:
                lines.append((0.0, ""))
            start, before = lines[-1]
            lines[-1] = (start if before.strip() else at, before + text)
    return "".join(f"[{_time(start)}]{' '.join(text.split())}\n" for start, text in lines if text.strip())


def sung(timeline: LyricsTimeline) -> Iterator[tuple[float, str]]:
    """Yield each word with the second at which it begins, without the section tags; a line ends with its last word."""
    whole = "".join(word.word for word in timeline.alignment)
    kept = bytearray(b"\1") * len(whole)
    for tag in _SECTION.finditer(whole):
        kept[tag.start() : tag.end()] = bytes(tag.end() - tag.start())
    place = 0
    for word in timeline.alignment:
        end = place + len(word.word)
        yield word.start_s, "".join(itertools.compress(word.word, kept[place:end]))
        place = end


def synchronized(timeline: LyricsTimeline) -> list[tuple[str, int]]:
    """Return the words with their milliseconds, as a tag for players holds them: a new line begins with its break."""
    words: list[tuple[str, int]] = []
    broken = ""
    for at, word in sung(timeline):
        text = word.strip("\n")
        if text.strip():
            early = "\n" if "\n" in word[: len(word) - len(word.lstrip())] else ""
            words.append((f"{(broken or early) if words else ''}{text}", max(round(at * 1000), 0)))
            broken = ""
        if "\n" in word[len(word.rstrip()) :] or ("\n" in word and not text.strip()):
            broken = "\n"
    return words


def _time(seconds: float) -> str:
    hundredths = round(max(seconds, 0) * 100)
    return f"{hundredths // 6000:02}:{hundredths // 100 % 60:02}.{hundredths % 100:02}"
