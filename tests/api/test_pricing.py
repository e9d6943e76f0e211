"""Prices are data: what costs what is said by one function, by operation and by model."""

import pytest

from aimusic_async import ConfigurationError, MusicSession, Settings, sonic
from aimusic_async.api.pricing import cost_of

SONG = {"prompt": "[Verse]\nla"}
PRICES = {"sonic.create_music": 14, "sonic.create_music sonic-v5": 12, "sonic.remaster chirp-v5": 3}


def song(mv):
    return sonic.CreateMusic(mv=mv, **SONG)


@pytest.mark.parametrize(
    ("request_", "credits_"),
    [
        (song("sonic-v4-5"), 14),
        (song("sonic-v5"), 12),
        (song("chirp-v5"), 12),
        (song("sonic-v5-5"), 14),
        (song("a-model-of-tomorrow"), 14),
        (sonic.Remaster(continue_clip_id="c", mv="sonic-v5"), 3),
        (sonic.Remaster(continue_clip_id="c", mv="chirp-v5"), 3),
        (sonic.Remaster(continue_clip_id="c", mv="sonic-v4"), sonic.Remaster.cost),
        (sonic.StemsFull(clip_id="c"), sonic.StemsFull.cost),
    ],
)
def test_a_price_for_the_model_goes_before_one_for_the_operation_and_that_before_the_class(request_, credits_):
    assert cost_of(request_, PRICES) == credits_


def test_without_prices_of_its_own_a_request_costs_what_its_class_says():
    assert cost_of(song("sonic-v5"), {}) == sonic.CreateMusic.cost


def test_a_class_has_a_price_before_its_request_exists():
    assert cost_of(sonic.CreateMusic, PRICES) == 14
    assert cost_of(sonic.CreateMusic, PRICES, "sonic-v5") == 12


def test_something_may_be_free():
    assert cost_of(song("sonic-v5"), {"sonic.create_music": 0}) == 0


@pytest.mark.parametrize(
    "prices",
    [
        {"sonic.create_music": -1},
        {"sonic.create_music": 1.5},
        {"sonic.create_music": "14"},
        {"sonic.create_music": True},
        {7: 14},
        [("sonic.create_music", 14)],
    ],
    ids=str,
)
def test_what_is_no_price_is_refused(prices):
    with pytest.raises(ConfigurationError, match="prices"):
        Settings(api_key="k", prices=prices)


def test_a_price_of_an_operation_that_does_not_exist_is_refused_with_what_was_meant():
    with pytest.raises(ConfigurationError, match=r"no operation; did you mean sonic\.create_music"):
        MusicSession(settings=Settings(api_key="k", prices={"sonic.create_musik sonic-v5": 14}))


def test_prices_come_from_the_environment_unless_they_are_given():
    environ = {"AIMUSIC_PRICES": "sonic.create_music=14, sonic.create_music  sonic-v5 = 12,"}
    loaded = Settings.load(api_key="k", environ=environ)
    assert loaded.prices == {"sonic.create_music": 14, "sonic.create_music sonic-v5": 12}
    assert Settings.load(api_key="k", prices={"sonic.remaster": 1}, environ=environ).prices == {"sonic.remaster": 1}
    assert Settings.load(api_key="k", environ={}).prices == {}


@pytest.mark.parametrize("written", ["sonic.create_music", "a.b=", "=14", "sonic.create_music=x", "a=-1"])
def test_a_price_in_the_environment_that_cannot_be_read_is_refused(written):
    with pytest.raises(ConfigurationError, match=r"looks like sonic\.create_music=14"):
        Settings.load(api_key="k", environ={"AIMUSIC_PRICES": written})


def test_settings_with_prices_can_be_compared_and_kept_in_sets():
    assert Settings(api_key="k", prices=dict(PRICES)) == Settings(api_key="k", prices=PRICES)
    assert len({Settings(api_key="k", prices=PRICES), Settings(api_key="k", prices=dict(PRICES))}) == 1
