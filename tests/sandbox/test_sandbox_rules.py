"""Rules for fields that the tables of the operations do not show by themselves."""

import math

import pytest

from aimusic_async.sandbox import Options, rules
from aimusic_async.sandbox.texts import Refusal, alternatives


def objection(field, value):
    return field.objection({field.name: value}, Options())


@pytest.mark.parametrize("value", [0, 1, 0.5, 1.0])
def test_numbers_in_the_range_are_taken(value):
    assert objection(rules.number("x", 0, 1), value) is None


@pytest.mark.parametrize("value", [-0.001, 1.001, True, "1", None, math.nan, math.inf, [1]])
def test_anything_else_is_no_number_in_the_range(value):
    assert objection(rules.number("x", 0, 1), value) == "The 'x' field should be a number between 0 and 1."


@pytest.mark.parametrize(
    ("field", "text"),
    [
        (rules.number("x"), "The 'x' field should be a number."),
        (rules.number("x", 3), "The 'x' field should be a number not less than 3."),
        (rules.number("x", 3, above=True), "The 'x' field should be a number greater than 3."),
        (rules.number("x", 3, whole=True), "The 'x' field should be an integer not less than 3."),
    ],
)
def test_a_number_says_what_it_wants(field, text):
    assert objection(field, None) == text
    assert objection(field, 4) is None


def test_above_leaves_the_bound_out():
    assert objection(rules.number("x", 0, above=True), 0)


def test_nothing_given_is_fine_where_nothing_is_required():
    assert rules.text("x").objection({}, Options()) is None
    assert rules.text("x").objection({"x": ""}, Options()) is None
    assert rules.text("x", required=rules.always).objection({"x": ""}, Options()) == "The 'x' field is required."


def test_fields_are_looked_at_before_rules_about_several():
    fields = [rules.number("a"), rules.number("b")]
    with pytest.raises(Refusal, match="'b' field should be a number"):
        rules.check(fields, [rules.rising("a", "b")], {"a": 5, "b": "4"}, Options())
    with pytest.raises(Refusal, match="'b' field should be greater than 'a'"):
        rules.check(fields, [rules.rising("a", "b")], {"a": 5, "b": 5}, Options())
    rules.check(fields, [rules.rising("a", "b")], {"a": 5}, Options())


@pytest.mark.parametrize(
    ("values", "text"), [(["a"], "'a'"), (["a", "b"], "'a' or 'b'"), (["a", "b", "c"], "'a', 'b', or 'c'")]
)
def test_alternatives_are_listed_as_the_service_lists_them(values, text):
    assert alternatives(values) == text
