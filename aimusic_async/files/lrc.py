"""Turns a lyrics timeline into an .lrc file, whose lines players show in time with the song. Pure."""

from __future__ import annotations

import re

from ..api.results import LyricsTimeline

_SECTION = re.compile(r"\[[^\]]*\]")  # [Chorus] and the like: not sung, and in this format brackets hold times


def lrc(timeline: LyricsTimeline) -> str:
    """Return one line for each line of the lyrics, with the time of its first word; empty when nothing is sung."""
    lines: list[tuple[float, str]] = [(0.0, "")]
    for word in timeline.alignment:
        for number, text in enumerate(_SECTION.sub("", word.word).split("\n")):
            if number:
                lines.append((0.0, ""))
            start, sung = lines[-1]
            lines[-1] = (start if sung.strip() else word.start_s, sung + text)
    return "".join(f"[{_time(start)}]{' '.join(text.split())}\n" for start, text in lines if text.strip())


def _time(seconds: float) -> str:
    hundredths = round(max(seconds, 0) * 100)
    return f"{hundredths // 6000:02}:{hundredths // 100 % 60:02}.{hundredths % 100:02}"
