"""May it be sent again? The whole table."""

import pytest

from aimusic_async import (
    AuthenticationError,
    InsufficientCredits,
    MusicError,
    NotFound,
    NotSent,
    RateLimited,
    ServerError,
    TransportError,
    ValidationError,
)
from aimusic_async.jobs.retry import Again, Doubt, GiveUp, Repeat, after_failure, delay, pause


def refused(kind, status):
    return kind("no", status=status)


TABLE = [
    # what went wrong, after a paid request, after a free one
    (refused(RateLimited, 429), Again, Again),
    (NotSent("no connection"), Again, Again),
    (TransportError("lost"), Doubt, Again),
    (refused(ServerError, 500), Doubt, Again),
    (refused(ServerError, 502), Doubt, Again),
    (refused(ServerError, 200), Doubt, Again),
    (refused(NotFound, 400), GiveUp, Again),
    (refused(ValidationError, 400), GiveUp, GiveUp),
    (refused(AuthenticationError, 401), GiveUp, GiveUp),
    (refused(InsufficientCredits, 403), GiveUp, GiveUp),
    (MusicError("odd"), GiveUp, GiveUp),
]


@pytest.mark.parametrize(("error", "paid", "free"), TABLE, ids=lambda value: getattr(value, "__name__", repr(value)))
def test_a_paid_request_is_sent_again_only_when_it_surely_was_not_taken(error, paid, free):
    assert type(after_failure(error, Repeat.NEVER, 1)) is paid
    assert type(after_failure(error, Repeat.FREE, 1)) is free


def test_refusals_for_speed_are_never_given_up():
    assert after_failure(refused(RateLimited, 429), Repeat.NEVER, 10_000) == Again(0.0)


@pytest.mark.parametrize(
    "error", [NotSent("x"), TransportError("x"), refused(ServerError, 500), refused(NotFound, 404)]
)
def test_everything_else_is_given_up_in_the_end(error):
    assert after_failure(error, Repeat.FREE, 100) == GiveUp()


def test_delays_double_up_to_a_minute():
    assert [delay(tries) for tries in (1, 2, 3, 7, 5000)] == [1, 2, 4, 60, 60]


def test_a_pause_is_the_services_word_up_to_an_hour_or_doubles_up_to_a_minute():
    assert pause(17.0, 5) == 17.0
    assert pause(0.0, 5) == 0.0
    assert pause(1e9, 1) == 3600.0
    assert [pause(None, refusals) for refusals in (1, 2, 3, 99)] == [3, 6, 12, 60]
