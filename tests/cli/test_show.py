"""Results for people: readable, complete, and without anything that a terminal would obey."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aimusic_async.api.results import (
    AlignedWord,
    Bpm,
    Clip,
    Lyrics,
    LyricsText,
    LyricsTimeline,
    Midi,
    MidiInstrument,
    MidiNote,
    Song,
    Stems,
)
from aimusic_async.cli.show import length, result_lines, safe


@given(st.text())
def test_a_safe_text_is_one_line_that_commands_no_terminal(text):
    shown = safe(text)
    assert "\n" not in shown
    assert all(char in "\u200c\u200d" or not unicodedata.category(char).startswith("C") for char in shown)
    assert all(char in shown for char in text if char.isalnum())


@given(st.text())
def test_lines_stay_when_they_may(text):
    assert safe(text, lines=True).count("\n") == text.replace("\r\n", "\n").count("\n")


@pytest.mark.parametrize("evil", ["\x1b]0;title\x07", "\x9b31m", "\r", "\u202e", "\u2066", "\x00", "\ud800"])
def test_what_turns_or_commands_is_gone(evil):
    assert not set(safe(f"a{evil}b")) & {"\x1b", "\x07", "\x9b", "\r", "\u202e", "\u2066", "\x00", "\ud800"}


def lines(result):
    return "\n".join(result_lines(result))


def test_a_song_shows_both_clips_the_failed_one_and_the_whole():
    song = Song(
        task_id="t",
        clips=(Clip(clip_id="c1", title="Rain\x1b[2J", duration=185.4, mv="sonic-v5", audio_url="https://x/1.mp3"),),
        failed=(Clip(clip_id="c2", state="failed", error_message="no\nluck"),),
        full=(Clip(clip_id="c3", title="All of it", audio_url="https://x/3.mp3"),),
    )
    assert lines(song) == (
        "task t\n"
        "Rain[2J  3:05  sonic-v5\n"
        "  clip   c1\n"
        "  audio  https://x/1.mp3\n"
        "whole song: All of it\n"
        "  clip   c3\n"
        "  audio  https://x/3.mp3\n"
        "failed: untitled\n"
        "  clip   c2\n"
        "  error  no luck"
    )


def test_stems_name_their_parts():
    assert "stem   Vocals" in lines(Stems(task_id="t", clips=(Clip(clip_id="c", stem_type="Vocals"),)))


def test_the_other_results_are_shown_as_they_read_best():
    assert lines(Bpm(avg_bpm=92.5, raw={"secret": 1})) == "avg_bpm  92.5"
    lyrics = Lyrics(results=(LyricsText(title="One", lyrics="[Verse]\nla"), LyricsText(lyrics="lo")))
    assert lines(lyrics) == "One\n[Verse]\nla\n\nuntitled\nlo"
    timeline = LyricsTimeline(alignment=(AlignedWord(word="[Verse]\nla ", start_s=1.5, end_s=2),))
    assert lines(timeline) == "    1.50     2.00  [Verse] la"
    midi = Midi(
        midi_url="https://x/m.mid",
        instruments=(MidiInstrument(name="Bass", notes=(MidiNote(pitch=1, start=0, end=1),)),),
    )
    assert lines(midi) == "midi_url  https://x/m.mid\n1 notes  Bass"


def test_a_length_is_minutes_and_seconds():
    assert [length(seconds) for seconds in (None, 5, 65.9, 600)] == ["", "0:05", "1:05", "10:00"]
