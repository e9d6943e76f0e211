"""Do the service's books and the journal agree, job by job? Pure: both go in, what does not fit comes out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import attrs

from aimusic_async import JobState
from aimusic_async.journal.record import JobRecord
from aimusic_async.sandbox.books import Request, Taken
from aimusic_async.sandbox.faults import Fault

_ANSWER_LOST = frozenset({"error", "dropped", "half body", "cut JSON", "stalled"})
"""Kinds of faults after which who asked cannot know whether the request was taken."""

_NEVER_ENDS = frozenset({"hangs", "vanishes"})
"""Fates of tasks of which nobody ever hears an end."""

_AROUND = 2.0
"""Real seconds: a POST that was in flight when its sender was killed came in so long before or after that, at most."""


@attrs.frozen
class Agreement:
    """What a comparison found."""

    states: Counter[str]
    """How many jobs the journal has in each state."""
    doubts: Counter[str]
    """Of the `unknown` ones: why they are, and whether the service had taken them."""
    disagreements: list[str]
    """What does not fit; empty when all is well."""


def compare(
    titles: Sequence[str],
    records: Iterable[JobRecord],
    taken: Iterable[Taken],
    requests: Iterable[Request],
    kills: Sequence[float],
) -> Agreement:
    """Compare the journal's records of the songs with those titles, which are also their keys, with the books.

    `kills`: when senders were killed, on the books' clock.
    """
    by_key = {record.key: record for record in records}
    by_title: dict[str, list[Taken]] = {title: [] for title in titles}
    wrong: list[str] = []
    for entry in taken:
        by_title.setdefault(str(entry.body.get("title")), []).append(entry)
    wrong += [f"{title}: nobody ordered it" for title in by_title.keys() - set(titles)]
    wrong += [f"{key}: is in the journal, and nobody ordered it" for key in by_key.keys() - set(titles)]
    states, doubts = Counter[str](), Counter[str]()
    for title in titles:
        record, bought = by_key.get(title), by_title[title]
        if len(bought) > 1:
            wrong.append(f"{title}: was taken {len(bought)} times: {[entry.task_id for entry in bought]}")
        elif record is None:
            wrong.append(f"{title}: is not in the journal; taken: {bought}")
        else:
            states[record.state] += 1
            entry = bought[0] if bought else None
            if record.state is JobState.UNKNOWN:
                doubts[f"{_cause(record)}, {'taken' if entry else 'not taken'}"] += 1
            if why := _wrong(record, entry, kills):
                wrong.append(f"{title}: {why}; the journal: {record}; the books: {entry}")
    return Agreement(states, doubts, wrong + _too_many(doubts, by_key.values(), list(requests), kills))


def _cause(record: JobRecord) -> str:
    return "killed" if "process that sent it ended" in (record.error or "") else "answer lost"


def _wrong(record: JobRecord, entry: Taken | None, kills: Sequence[float]) -> str | None:
    """Say what is wrong with one job, None when nothing is."""
    if record.state is JobState.UNKNOWN:
        return _wrong_doubt(record, entry, kills)
    if record.state not in (JobState.SUCCEEDED, JobState.FAILED, JobState.SUBMITTED):
        return "was paid, and would be sent again" if entry else "was never sent"
    if entry is None:
        return "the service never had it"
    if record.task_id != entry.task_id:
        return "has the wrong task id"
    if record.credits != entry.credits - entry.refunded:
        return "cost something else"
    if record.state is JobState.SUBMITTED:
        return None if str(entry.fate) in _NEVER_ENDS else "has ended, and the journal does not know"
    if (record.state is JobState.FAILED) != (str(entry.fate) == "fails"):
        return "ended otherwise"
    return None


def _wrong_doubt(record: JobRecord, entry: Taken | None, kills: Sequence[float]) -> str | None:
    if record.task_id is not None or record.credits:
        return "is in doubt although the service's answer is there"
    if entry is None:
        return None
    if _cause(record) == "killed":
        near = any(abs(kill - entry.at) <= _AROUND for kill in kills)
        return None if near else "is in doubt, and nobody was killed near it"
    return None if _loses_answer(entry.fault) else "is in doubt although its answer was sent"


def _loses_answer(fault: Fault | None) -> bool:
    return fault is not None and fault.kind in _ANSWER_LOST


def _too_many(
    doubts: Counter[str], records: Iterable[JobRecord], requests: Sequence[Request], kills: Sequence[float]
) -> list[str]:
    """Say which counts cannot be: each doubt needs a cause of its own, each POST a line in the journal before it."""
    posts = [request for request in requests if request.method == "POST"]
    lost_untaken = sum(_loses_answer(post.fault) and not (post.fault and post.fault.taken) for post in posts)
    # A session lets one POST leave at a time, and writes each down before: so at most one a kill had not left yet.
    limits = {"killed, not taken": len(kills) + lost_untaken, "answer lost, not taken": lost_untaken}
    wrong = [
        f"{doubts[why]} in doubt ({why}), at most {most} can be" for why, most in limits.items() if doubts[why] > most
    ]
    begun = sum(record.attempts for record in records)
    if len(posts) > begun:
        wrong.append(f"{len(posts)} POSTs came in, and only {begun} were written down before they left")
    return wrong
