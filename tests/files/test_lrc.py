"""Timelines as .lrc files."""

import re

from hypothesis import given
from hypothesis import strategies as st

from aimusic_async import AlignedWord, LyricsTimeline
from aimusic_async.files.lrc import lrc


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


@given(st.lists(st.tuples(st.text(max_size=20), st.floats(-1, 9000))))
def test_all_that_is_sung_is_there_and_every_line_has_a_time(words):
    text = lrc(timeline(*words))
    lines = text.split("\n")[:-1]
    assert all(re.match(r"\[\d{2,3}:[0-5]\d\.\d\d\]", line) for line in lines)
    heard = "".join(re.sub(r"^\[[^\]]*\]", "", line) for line in lines)
    sung = "".join(re.sub(r"\[[^\]]*\]", "", word) for word, _ in words)
    assert "".join(heard.split()) == "".join(sung.split())
