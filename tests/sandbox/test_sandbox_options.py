"""Switches that make no sense are refused at once, and all have words that explain them."""

import ast
import inspect
import itertools
from datetime import datetime

import attrs
import pytest

from aimusic_async.sandbox import Options, options


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
    body = next(
        node for node in ast.parse(inspect.getsource(options)).body if getattr(node, "name", None) == "Options"
    ).body
    explained = {
        before.target.id
        for before, after in itertools.pairwise(body)
        if isinstance(before, ast.AnnAssign) and isinstance(after, ast.Expr)
    }
    assert explained == {field.name for field in attrs.fields(Options)}
