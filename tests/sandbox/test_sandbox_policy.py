"""Marker words stand for what moderation refuses."""

import pytest

from aimusic_async.sandbox.policy import ContentPolicy


def test_one_can_bring_words_of_ones_own():
    policy = ContentPolicy(artist_names=("Ada Quill",))
    assert policy.objection(lyrics=["ada quill"], descriptions=[]) is None
    text = "The song description contains artist names: 'ADA QUILL' which is not allowed."
    assert policy.objection(lyrics=[], descriptions=["like ADA QUILL"]) == text


def test_ordinary_texts_pass():
    assert ContentPolicy().objection(lyrics=["[Verse]\nrain"], descriptions=["about rain"]) is None


def test_a_single_string_is_no_list_of_words():
    with pytest.raises(TypeError):
        ContentPolicy(artist_names="Ada Quill")
