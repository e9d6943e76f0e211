"""Switches that make no sense are refused at once, and all have words that explain them."""

import ast
import inspect
import itertools
from datetime import datetime

import attrs
import pytest

from aimusic_async.sandbox import Options, eras, options, switches


@pytest.mark.parametrize(
    "wrong",
    [
        {"speed": 0},
        {"speed": "fast"},
        {"seed": 0.5},
        {"period": -1},
        {"count": "gets"},
        {"keys": ()},
        {"keys": (5,)},
        {"credits": -1},
        {"failure_rate": 1.5},
        {"timeout_rate": -0.1},
        {"song_seconds": (40, 24)},
        {"clip_spread": (0.5, 1.5)},
        {"clips_per_task": 0},
        {"not_ready_status": 204},
        {"producer_form": "word"},
        {"mv_spelling": "suno"},
        {"retry_after": "yes"},
        {"durations": 5},
        {"durations": {"sonic": -1}},
        {"prices": {"sonic.sing": 1}},
        {"prices": {"sonic.remaster": -1}},
        {"url_lifetime": 0},
        {"start": datetime(2026, 1, 1)},  # noqa: DTZ001  # that is the point
        {"policy": None},
        {"era": "tomorrow"},
        {"upload_task_types": "never"},
        {"rewritten_titles": 2},
        {"fresh_file_seconds": -1},
        {"sonic_download": 1},
        {"prices": {"sonic.sing sonic-v5": 1}},
    ],
    ids=str,
)
def test_a_value_that_makes_no_sense_is_refused(wrong):
    with pytest.raises((ValueError, TypeError)):
        Options(**wrong)


def test_one_key_may_be_given_as_a_string():
    assert Options(keys="mine").keys == ("mine",)


def test_options_cannot_be_changed():
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Options().speed = 2


def test_every_switch_is_explained():
    classes = [
        node
        for module in (switches, options)
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.ClassDef)
    ]
    explained = {
        before.target.id
        for one in classes
        for before, after in itertools.pairwise(one.body)
        if isinstance(before, ast.AnnAssign) and isinstance(after, ast.Expr)
    }
    assert explained == {field.name for field in attrs.fields(Options)}


@pytest.mark.parametrize("era", eras.ERAS)
def test_an_era_turns_only_switches_that_exist_and_differs_from_the_usual(era):
    usual, there = attrs.asdict(Options()), attrs.asdict(Options(era=era))
    turned = {name for name in usual if usual[name] != there[name]} - {"era"}
    assert turned == eras._STATES[era].keys()


def test_a_switch_that_is_given_goes_before_the_era():
    assert Options(era="today").use_suno_cdn_required
    assert not Options(era="today", use_suno_cdn_required=False).use_suno_cdn_required
    assert Options(era="seed", sonic_models="sonic-v5-5").sonic_models == ("sonic-v5-5",)
    assert Options(era="today", prices={}).prices == {}
