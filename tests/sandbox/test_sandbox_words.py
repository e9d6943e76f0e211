"""Titles, tags and lyrics that the sandbox makes up."""

from random import Random

import pytest

from aimusic_async.sandbox import words


@pytest.mark.parametrize(
    ("description", "subject"),
    [
        ("a song about the sky", "the sky"),
        ("Please write me a song about rain.", "rain"),
        ("bright dance mashup", "bright dance mashup"),
        ("", "nothing at all"),
        ("one two three four five six seven eight", "one two three four five six seven"),
    ],
)
def test_what_a_description_is_about(description, subject):
    assert words.subject(description) == subject


def test_lyrics_name_their_subject_and_have_sections():
    lyrics = words.lyrics_about("a song about {braces} and 50% rain", Random(1))
    assert "{braces} and 50% rain" in lyrics
    assert lyrics.count("[Chorus]") == 2
    assert "{it}" not in lyrics


def test_the_same_chance_makes_the_same_lyrics():
    assert words.lyrics_about("rain", Random(1)) == words.lyrics_about("rain", Random(1))
    assert words.lyrics_about("rain", Random(1)) != words.lyrics_about("rain", Random(2))


@pytest.mark.parametrize(
    ("text", "title"),
    [("[Verse]\nlanterns on the water line", "Lanterns On The Water"), ("[Intro]", "Untitled"), ("", "Untitled")],
)
def test_a_title_is_the_first_words_that_are_sung(text, title):
    assert words.title_of(text) == title
