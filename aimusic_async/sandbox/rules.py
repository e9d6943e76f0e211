"""Rules for the fields of a request, as data: each says what it takes and which message it refuses with. Pure."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen
from yarl import URL

from aimusic_async.sandbox import models, texts
from aimusic_async.sandbox.fetch import is_loopback
from aimusic_async.sandbox.options import Options

Body = Mapping[str, Any]
When = Callable[[Body], bool]
Judge = Callable[[Any, Body, Options], str | None]
"""Value, whole body, options → the message that refuses it, or None."""
Rule = Callable[[Body, Options], str | None]
"""A rule about several fields."""


def always(_: Body) -> bool:
    """Required whatever the rest says."""
    return True


def never(_: Body) -> bool:
    """Optional."""
    return False


@frozen
class Field:
    """One field: its rule, when it is required, and what is said when it is missing."""

    name: str
    judge: Judge
    required: When = never
    missing: str | Judge | None = None
    blank: bool = True
    """Whether an empty text counts as given."""

    def objection(self, body: Body, options: Options) -> str | None:
        """The message that refuses `body` because of this field, or None."""
        given = self.name in body and (self.blank or body[self.name] != "")
        if given:
            return self.judge(body[self.name], body, options)
        if self.required(body):
            message = self.missing or texts.required(self.name)
            return message if isinstance(message, str) else message(None, body, options)
        return None


def check(fields: Sequence[Field], rules: Sequence[Rule], body: Body, options: Options) -> None:
    """Raise the `Refusal` of the first field or rule that objects."""
    for field in fields:
        if message := field.objection(body, options):
            raise texts.invalid(message)
    for rule in rules:
        if message := rule(body, options):
            raise texts.invalid(message)


def is_number(value: object) -> bool:
    """Whether `value` is a number; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def text(
    name: str,
    *,
    most: int | Callable[[Body, Options], int] | None = None,
    stated: int | None = None,
    label: str | None = None,
    required: When = never,
    missing: str | None = None,
) -> Field:
    """A string of at most `most` characters; the message names `label` and the limit `stated`."""

    def judge(value: Any, body: Body, options: Options) -> str | None:
        if not isinstance(value, str):
            return f"The '{name}' field should be a string."
        limit = most(body, options) if callable(most) else most
        if limit is not None and len(value) > limit:
            return texts.too_long(label or name, stated or limit)
        return None

    return Field(name, judge, required, missing, blank=False)


def flag(name: str, *, required: When = never) -> Field:
    """True or false; strings and numbers are refused."""

    def judge(value: Any, _body: Body, _options: Options) -> str | None:
        return None if isinstance(value, bool) else texts.should_be_boolean(name)

    return Field(name, judge, required, texts.should_be_boolean(name))


def number(
    name: str,
    least: float = -math.inf,
    most: float = math.inf,
    *,
    above: bool = False,
    whole: bool = False,
    required: When = never,
) -> Field:
    """A number from `least` (or above it) to `most`, both included."""
    noun = "an integer" if whole else "a number"
    if most < math.inf:
        message = f"The '{name}' field should be {noun} between {least:g} and {most:g}."
    elif least > -math.inf:
        message = f"The '{name}' field should be {noun} {'greater than' if above else 'not less than'} {least:g}."
    else:
        message = f"The '{name}' field should be {noun}."

    def judge(value: Any, _body: Body, _options: Options) -> str | None:
        fits = is_number(value) and least <= value <= most and not (above and value == least)
        if whole and not isinstance(value, int):
            fits = False
        return None if fits else message

    return Field(name, judge, required)


def choice(name: str, values: Sequence[str], *, required: When = never) -> Field:
    """One of `values`, letter by letter."""

    def judge(value: Any, _body: Body, _options: Options) -> str | None:
        if isinstance(value, str) and value in values:
            return None
        return f"The '{name}' field is invalid. It should be {texts.alternatives(values)}."

    return Field(name, judge, required)


def listing(name: str, values: Sequence[str], most: int) -> Field:
    """A list of at most `most` of `values`."""

    def judge(value: Any, _body: Body, _options: Options) -> str | None:
        if not isinstance(value, list) or len(value) > most:
            return f"The '{name}' field should be a list of at most {most} items."
        if any(item not in values for item in value):
            return f"The '{name}' field is invalid. Its items should be {texts.alternatives(values)}."
        return None

    return Field(name, judge)


def digits(name: str) -> Field:
    """A string of digits."""

    def judge(value: Any, _body: Body, _options: Options) -> str | None:
        good = isinstance(value, str) and value.isascii() and value.isdigit()
        return None if good else f"The '{name}' field should be a string of digits."

    return Field(name, judge)


def model(known: Callable[[Options], Sequence[str]], *, aliases: bool = False, required: When = never) -> Field:
    """The field `mv`: one of the known models, with `aliases` also in the `chirp-` spelling."""

    def judge(value: Any, _body: Body, options: Options) -> str | None:
        names = known(options)
        if isinstance(value, str) and (models.sonic_name(value) if aliases else value) in names:
            return None
        return texts.not_a_model(names)

    return Field("mv", judge, required, missing=judge)


def webhook(name: str = "webhook_url") -> Field:
    """An https address of at most 1024 characters (with an option also plain http to this machine)."""

    def judge(value: Any, _body: Body, options: Options) -> str | None:
        message = f"The '{name}' field should be an https URL of at most 1024 characters."
        if not isinstance(value, str) or len(value) > 1024:
            return message
        try:
            url = URL(value)
        except ValueError:
            return message
        plain = options.http_webhooks and url.scheme == "http" and is_loopback(url)
        return None if url.host and (url.scheme == "https" or plain) else message

    return Field(name, judge)


WEBHOOK = (webhook(), text("webhook_secret"))


def rising(start: str, end: str) -> Rule:
    """`end` lies after `start` when both are given."""

    def rule(body: Body, _options: Options) -> str | None:
        if start in body and end in body and not body[end] > body[start]:
            return f"The '{end}' field should be greater than '{start}'."
        return None

    return rule


def one_of(*names: str) -> Rule:
    """Exactly one of the fields is given."""

    def rule(body: Body, _options: Options) -> str | None:
        if sum(bool(body.get(name)) for name in names) != 1:
            return f"Exactly one of {' and '.join(repr(name) for name in names)} is required."
        return None

    return rule


def some_of(*names: str) -> Rule:
    """At least one of the fields is given."""

    def rule(body: Body, _options: Options) -> str | None:
        return None if any(body.get(name) for name in names) else f"One of {texts.alternatives(names)} is required."

    return rule


def only_with(name: str, partner: str, value: object) -> Rule:
    """`name` may only be given (or true) where `partner` has `value`."""

    def rule(body: Body, _options: Options) -> str | None:
        if body.get(name) and body.get(partner) is not value:
            return f"The '{name}' field is only allowed when {partner} = {str(value).lower()}."
        return None

    return rule
