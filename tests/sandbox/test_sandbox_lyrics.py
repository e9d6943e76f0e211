"""Lyrics from a description: answered at once, not paid from the account."""

import pytest


@pytest.mark.looptime
async def test_two_songs_about_the_description_come_back_and_cost_no_credits(opened):
    async with opened() as caller:
        answer = await caller.done("/sonic/lyrics", {"description": "a song about the sky"})
        assert answer.keys() == {"code", "message", "results"}
        assert len(answer["results"]) == 2
        assert all("sky" in result["lyrics"] and result["title"] for result in answer["results"])
        assert [entry.credits for entry in caller.box.books.taken("lyrics.generate_lyrics")] == [0]


@pytest.mark.looptime
async def test_they_can_be_given_a_price(opened):
    async with opened(prices={"lyrics.generate_lyrics": 10}) as caller:
        await caller.done("/sonic/lyrics", {"description": "rain"})
        assert caller.box.books.charged == 10
