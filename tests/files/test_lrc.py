"""Timelines as .lrc files."""

import re

from hypothesis import given
from hypothesis import strategies as st

from aimusic_async import AlignedWord, LyricsTimeline
from aimusic_async.files.lrc import lrc, synchronized


def timeline(*words):
    return LyricsTimeline(alignment=tuple(AlignedWord(word=word, start_s=at, end_s=at + 0.1) for word, at in words))


def test_each_line_has_the_time_of_its_first_word():
    words = [("[Verse]\nHere ", 1.5), ("we ", 2), ("go\n", 2.4), ("\n[Chorus]\n", 3), ("All ", 59.999), ("night", 61)]
    assert lrc(timeline(*words)) == "[00:01.50]Here we go\n[01:00.00]All night\n"


def test_a_line_may_end_within_a_word():
    assert lrc(timeline(("one\ntwo", 3.0), (" three", 4.0))) == "[00:03.00]one\n[00:03.00]two three\n"


def test_nothing_sung_is_an_empty_file():
    assert lrc(timeline()) == ""
    assert lrc(timeline(("[Instrumental]\n", 0.0))) == ""


def test_a_section_tag_that_is_split_over_words_is_no_line():
    words = [
        ("[Verse ", 0.5),
        ("1]\n", 0.7),
        ("Here ", 1),
        ("we ", 2),
        ("go\n", 3),
        ("[", 4),
        ("Out", 4),
        ("ro", 4),
        ("]", 5),
    ]
    assert lrc(timeline(*words)) == "[00:01.00]Here we go\n"
    assert lrc(timeline(("sing [soft", 1.0), ("ly] on\n", 2.0), ("\n", 3.0))) == "[00:01.00]sing on\n"


def test_a_bracket_that_is_never_closed_swallows_nothing():
    words = [("Oh [", 1.0), ("no\n", 2.0), (f"{'la ' * 40}\n", 3.0), ("fin] ", 4.0), ("e", 5.0)]
    text = lrc(timeline(*words))
    assert [line[10:15].strip() for line in text.splitlines()] == ["Oh [n", "la la", "fin]"]


def test_for_tags_each_word_has_its_milliseconds_and_a_new_line_begins_with_its_break():
    words = [("[Verse ", 0.5), ("1]\n", 0.7), ("Here ", 1.0004), ("go\n", 2), ("\n[Chorus]\nAll ", 59.999), ("day", 61)]
    assert synchronized(timeline(*words)) == [("Here ", 1000), ("go", 2000), ("\nAll ", 59999), ("day", 61000)]
    assert synchronized(timeline(("one\ntwo\n", -1.0), ("\n", 2), ("three", 3))) == [("one\ntwo", 0), ("\nthree", 3000)]
    assert synchronized(timeline(("[Instrumental]", 0.0))) == []


@given(st.lists(st.tuples(st.text(max_size=20), st.floats(-1, 9000))))
def test_all_that_is_sung_is_there_and_every_line_has_a_time(words):
    text = lrc(timeline(*words))
    lines = text.split("\n")[:-1]
    assert all(re.match(r"\[\d{2,3}:[0-5]\d\.\d\d\]", line) for line in lines)
    heard = "".join(re.sub(r"^\[[^\]]*\]", "", line) for line in lines)
    sung = re.sub(r"\[[^\[\]]{0,80}\]|\[[^\]\n]*\]", "", "".join(word for word, _ in words))
    assert "".join(heard.split()) == "".join(sung.split())
