"""The memory of deliveries: bounded, and no use to somebody who wants to hide one."""

import attrs

from aimusic_async.webhooks import SongEvent, WebhookEvent
from aimusic_async.webhooks.seen import Seen

JOB, OTHER = "0" * 32, "1" * 32
EVENT = WebhookEvent(
    id="e", event=SongEvent.COMPLETED, task_id="t", platform="sonic", timestamp=1.0, signature="s", body={}
)


def test_an_event_is_known_by_its_id_and_by_its_signature():
    seen = Seen()
    assert not seen.knows(EVENT, JOB)
    seen.keep(EVENT, JOB)
    assert seen.knows(EVENT, JOB)
    assert seen.knows(attrs.evolve(EVENT, signature="signed again"), JOB)
    assert seen.knows(attrs.evolve(EVENT, id="relabelled"), JOB)
    assert not seen.knows(attrs.evolve(EVENT, id="f", signature="another"), JOB)


def test_an_id_hides_nothing_of_another_job_and_no_other_kind_of_event():
    seen = Seen()
    seen.keep(EVENT, JOB)
    assert not seen.knows(attrs.evolve(EVENT, signature="theirs"), OTHER)
    assert not seen.knows(attrs.evolve(EVENT, signature="theirs"), None)
    assert not seen.knows(attrs.evolve(EVENT, signature="final", event=SongEvent.FAILED), JOB)


def test_the_oldest_is_forgotten_first_and_no_more_than_most_are_kept():
    seen = Seen(most=3)
    events = [attrs.evolve(EVENT, id=f"e{number}", signature=f"s{number}") for number in range(10)]
    for event in events:
        seen.keep(event, JOB)
        assert len(seen) <= 3
    assert [seen.knows(event, JOB) for event in events] == [False] * 7 + [True] * 3
