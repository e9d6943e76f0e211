"""May it be sent again? The whole table."""

import pytest

from aimusic_async import (
    ApiError,
    AuthenticationError,
    GatewayError,
    InsufficientCredits,
    MusicError,
    NotFound,
    NotSent,
    RateLimited,
    ServerError,
    TransportError,
    ValidationError,
)
from aimusic_async.scheduling.retry import Again, GiveUp, OutcomeUnknown, Repeat, after_failure, delay, pause


def refused(kind, status):
    return kind("no", status=status, body={"error": "no"})


TABLE = [
    # what went wrong, after a paid request, after a free one, after a poll
    (refused(RateLimited, 429), Again, Again, Again),
    (NotSent("no connection"), Again, Again, Again),
    (NotSent("the certificate is not trusted", passing=False), GiveUp, GiveUp, Again),
    (TransportError("lost"), OutcomeUnknown, Again, Again),
    (refused(ServerError, 500), OutcomeUnknown, Again, Again),
    (refused(ServerError, 502), OutcomeUnknown, Again, Again),
    (refused(ServerError, 200), OutcomeUnknown, Again, Again),
    (refused(NotFound, 400), GiveUp, Again, Again),
    (refused(ValidationError, 400), GiveUp, GiveUp, GiveUp),
    (refused(AuthenticationError, 401), GiveUp, GiveUp, GiveUp),
    (refused(InsufficientCredits, 403), GiveUp, GiveUp, GiveUp),
    (refused(ApiError, 408), GiveUp, GiveUp, Again),
    (refused(ApiError, 425), GiveUp, GiveUp, Again),
    (refused(ApiError, 418), GiveUp, GiveUp, GiveUp),
    *((refused(GatewayError, status), OutcomeUnknown, Again, Again) for status in (200, 302, 400, 401, 403, 404, 408)),
    *((refused(GatewayError, status), Again, Again, Again) for status in (307, 308, 405)),
    *((refused(GatewayError, status), GiveUp, Again, Again) for status in (413, 414, 431)),
    (MusicError("odd"), GiveUp, GiveUp, GiveUp),
]


@pytest.mark.parametrize(
    ("error", "never", "free", "poll"), TABLE, ids=lambda value: getattr(value, "__name__", repr(value))
)
def test_a_paid_request_is_sent_again_only_when_it_surely_was_not_taken(error, never, free, poll):
    assert type(after_failure(error, Repeat.NEVER, 1)) is never
    assert type(after_failure(error, Repeat.FREE, 1)) is free
    assert type(after_failure(error, Repeat.POLL, 1)) is poll


@pytest.mark.parametrize("error", [NotSent("x"), TransportError("x"), refused(ServerError, 502)])
def test_polls_outlast_any_outage_as_a_paid_task_depends_on_them(error):
    assert after_failure(error, Repeat.POLL, 10_000) == Again(60.0)


def test_refusals_for_speed_are_never_given_up():
    assert after_failure(refused(RateLimited, 429), Repeat.NEVER, 10_000) == Again(0.0)


@pytest.mark.parametrize(
    ("error", "repeat", "tries"),
    [
        (TransportError("x"), Repeat.FREE, 8),
        (refused(ServerError, 500), Repeat.FREE, 8),
        (refused(GatewayError, 403), Repeat.FREE, 8),
        (refused(GatewayError, 405), Repeat.NEVER, 3),
        (refused(NotFound, 404), Repeat.FREE, 3),
    ],
)
def test_everything_else_is_given_up_in_the_end(error, repeat, tries):
    assert after_failure(error, repeat, tries - 1) == Again(delay(tries - 1))
    assert after_failure(error, repeat, tries) == GiveUp()


@pytest.mark.parametrize("repeat", Repeat)
def test_what_was_not_sent_waits_until_it_can_be(repeat):
    assert after_failure(NotSent("x"), repeat, 10_000) == Again(60.0)


def test_delays_double_up_to_a_minute():
    assert [delay(tries) for tries in (1, 2, 3, 7, 5000)] == [1, 2, 4, 60, 60]


def test_a_pause_is_the_services_word_up_to_an_hour_or_doubles_up_to_a_minute():
    assert pause(17.0, 5) == 17.0
    assert pause(0.0, 5) == 0.0
    assert pause(1e9, 1) == 3600.0
    assert [pause(None, refusals) for refusals in (1, 2, 3, 99)] == [3, 6, 12, 60]
