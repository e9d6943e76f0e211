"""Works in every state that they can be in, every event that can happen to them, and names for what follows."""

import attrs

from aimusic_async import sonic
from aimusic_async.api.wire import Reply, SongEvent
from aimusic_async.errors import (
    AuthenticationError,
    JobCancelled,
    JobTimeout,
    JournalError,
    MusicError,
    NotSent,
    TransportError,
)
from aimusic_async.events import JobState
from aimusic_async.jobs import happenings as on
from aimusic_async.jobs.happenings import Do, PollAt, Put, Queue, Report, Say, Sign, Watch
from aimusic_async.jobs.job import Job
from aimusic_async.jobs.lifecycle import advance
from aimusic_async.jobs.work import Order, Rules, Work
from aimusic_async.journal import steps
from aimusic_async.journal.budget import Budget
from aimusic_async.journal.protocol import Outcome
from aimusic_async.journal.record import JobRecord

ACCOUNT = "default@api.test"
SONG = sonic.CreateMusic(prompt="[Verse]\nHere we go", mv="sonic-v5")
OTHER_SONG = sonic.CreateMusic(prompt="[Verse]\nNo, there", mv="sonic-v5")
START = 1000.0


def given_up(work):
    return on.GivenUp(JobCancelled(work.job))


@attrs.define(eq=False, slots=False)
class Life:
    """One work, and all that happened to it; it checks the laws at every event."""

    journal: bool = True
    request: object = SONG
    key: str = "one"
    group: str = ""
    limit: int | None = None
    credits: int = 100
    resend: tuple = ()
    task_id: str | None = None
    now: float = START
    puts: list = attrs.field(factory=list)
    holders: set = attrs.field(factory=set)
    """Who goes on with it: a token to come, the journal's word, the answer to its POST, or a poll."""

    def __attrs_post_init__(self):
        self.budget = Budget(self.credits)
        rules = Rules(owner="mine", account=ACCOUNT, journalled=self.journal)
        order = Order(budgets=(self.budget,), limit=self.limit, group=self.group, resend=self.resend)
        request = None if self.task_id else self.request
        self.work = Work.of(rules, type(self.request), self.key, order, request=request, task_id=self.task_id)
        Job(None, self.work)

    def happen(self, event):
        effects = advance(self.work, event, self.now)
        self.puts += [effect.step for effect in effects if isinstance(effect, Put)]
        self._hold(event, effects)
        return effects

    def _hold(self, event, effects):
        match event:
            case on.Stored() | on.Submitted():
                self.holders.discard("journal")
            case Sign.GRANTED:
                self.holders.discard("token")
            case Sign.STALE | on.Answered(poll=False) | on.Failed(poll=False):
                self.holders.discard("post")
        for effect in effects:
            match effect:
                case Queue():
                    self.holders.add("token")
                case Put(step=steps.Enter() | steps.Begin()) | Do.REENTER:
                    self.holders.add("journal")
                case Do.SEND:
                    self.holders.add("post")
                case Watch():
                    self.holders.add("poll")
                case Do.WITHDRAW | Do.FINISHED | Do.FINISHED_NOW:
                    self.holders -= {"token", "poll"}

    def last(self, kind):
        """Return the last step of a kind that was put."""
        return next(step for step in reversed(self.puts) if isinstance(step, kind))

    def enters(self, record=None, **rest):
        """Return what the journal answers to the last `Enter`."""
        return on.Stored(self.last(steps.Enter), Outcome(record, changed=True, **rest))

    def begins(self, record=None, **rest):
        return on.Stored(self.last(steps.Begin), Outcome(record, changed=True, **rest))

    def record(self, state, owner="mine", **rest):
        """Return a record of this job; `sender` and `attempts` name its latest attempt."""
        fields = self.work.new_record()
        task_id = "t1" if state in ("submitted", "succeeded", "failed") else None
        return attrs.evolve(
            fields,
            **{
                "state": JobState(state),
                "owner": owner,
                "sender": "mine",
                "attempts": self.work.attempt,
                "task_id": task_id,
                "credits": 10 * (task_id is not None),
                "accepted": 5.0 if task_id else None,
                "updated": 20.0,
                "answer": '{"data":[]}' if state in ("succeeded", "failed") else None,
                "error": "too loud" if state in ("failed", "unknown") else None,
                "request": fields.request,
            }
            | rest,
        )


# --- states ----------------------------------------------------------------------------------------------------------


def _granted(life):
    return [Sign.GRANTED, *([lambda: life.begins(life.record("sending"))] if life.journal else [])]


def _ways(life):
    """Return the events that lead to each state."""
    entering = [on.Submitted()]
    fresh = [*entering, *([lambda: life.enters(life.record("queued"))] if life.journal else [])]
    leaving = [*fresh, *_granted(life)]
    sent = [*leaving, Sign.DEPARTED]
    hooked = [*leaving, "hooked", Sign.DEPARTED]
    awaiting = [*hooked, on.Failed(TransportError("the connection was lost"))]
    submitted = [*sent, on.Answered(accepted("t1"))]
    overtaken = [*sent, on.Delivered(delivery("t1"))]
    ways = {
        "fresh": fresh,
        "again": [*sent, on.Answered(REFUSED)],
        "leaving": leaving,
        "sent": sent,
        "hooked": hooked,
        "given-up": [*hooked, given_up(life.work)],
        "awaiting": awaiting,
        "submitted": submitted,
        "overtaken": overtaken,
        "succeeded": [*overtaken, on.Delivered(delivery("t1", DONE, SongEvent.COMPLETED))],
        "failed": [*overtaken, on.Delivered(delivery("t1", FAILED, SongEvent.FAILED))],
        "unknown": [*sent, on.Broke(MusicError("one: the session broke"))],
        "cancelled": [*fresh, given_up(life.work)],
        "detached": [*hooked, given_up(life.work), on.Delivered(delivery("t1"))],
    }
    if life.journal:
        asked = [*fresh, Sign.GRANTED]
        follows = [*entering, lambda: life.enters(life.record("sending", "other"))]
        watches = [*entering, lambda: life.enters(life.record("submitted", "other"))]
        ways |= {
            "entering": entering,
            "stale": [*leaving, Sign.STALE],
            "asked": asked,
            "returning": [*asked, lambda: life.begins(life.record("cancelled", None)), on.Submitted()],
            "rejoining": [*awaiting, lambda: on.Heard(life.record("submitted", None))],
            "follows": follows,
            "watches": watches,
            "asks": [*follows, on.Submitted()],
            "asks-t1": [*watches, on.Submitted()],
        }
    return ways


ENDED = ["succeeded", "failed", "unknown", "cancelled", "detached"]
OPEN = {
    "entering": "the journal is asked",
    "fresh": "waits for a token",
    "again": "waits for one after the service refused it",
    "stale": "waits for one, and the journal has it that it is about to leave",
    "asked": "has one, and waits for the journal",
    "returning": "waits for the journal, which had it that others cancelled it",
    "leaving": "in flight, and not departed",
    "sent": "in flight, and departed",
    "hooked": "the same, and a webhook will report",
    "given-up": "the same, and it was cancelled",
    "awaiting": "the answer was lost, and a webhook may come",
    "rejoining": "the same, others know its task by now, and the journal is asked",
    "submitted": "the service has it",
    "overtaken": "a webhook said so before the POST was over",
    "follows": "others work on it",
    "watches": "others work on it, and the service has it",
    "asks": "others work on it, and the journal is asked whether they still do",
    "asks-t1": "the same, and the service has it",
}
STATES = [*OPEN, *ENDED]
JOURNALLED = ["entering", "stale", "asked", "returning", "rejoining", "follows", "watches", "asks", "asks-t1"]
WITHOUT_JOURNAL = [state for state in STATES if state not in JOURNALLED]


def life_in(state, **given):
    """Return a life that is in a state."""
    life = Life(**given)
    for event in _ways(life)[state]:
        if event == "hooked":
            life.work.hooked = True  # as the sender does
        else:
            life.happen(event() if callable(event) else event)
    return life


# --- what the service says -------------------------------------------------------------------------------------------


@attrs.frozen
class Parcel:
    """What a webhook brings."""

    task_id: str | None
    reply: Reply
    event: object = SongEvent.STREAMING


def clips(*states, url="https://files.test/a"):
    return [
        {"clip_id": f"c{number}", "state": state, **({"audio_url": f"{url}{number}"} if url else {})}
        for number, state in enumerate(states, 1)
    ]


def reply(body, status=200, **rest):
    return Reply(status=status, body=body, **rest)


def accepted(task_id):
    return reply({"message": "success", "task_id": task_id})


def refusal(status, message, **rest):
    return reply({"code": status, "error": message, **rest}, status)


RUNNING = reply({"code": 200, "data": clips("running", "running", url="")})
STREAMS = reply({"code": 200, "data": clips("running", "running")})
DONE = reply({"code": 200, "data": clips("succeeded", "succeeded")})
HALF = reply({"code": 200, "data": clips("succeeded", "running")})
FAILED = reply({"code": 200, "data": [], "type": "failed", "error": "too loud", "refund_processed": True})
KEPT = reply({"code": 200, "data": [], "type": "failed", "error": "too loud", "refund_processed": False})
PAGE = Reply(status=502, text="<html>Bad Gateway</html>")
REFUSED = reply({"code": 429, "error": "too fast"}, 429, retry_after=7.0)
SENSELESS = reply({"code": 200, "data": "nothing"})


def delivery(task_id, said=STREAMS, event=SongEvent.STREAMING):
    return Parcel(task_id, said, event)


# --- events ----------------------------------------------------------------------------------------------------------

BROKE = MusicError("one: the session broke: KeyError('x')")
POOR = "Insufficient credits"


def _over(life):
    life.budget.limit = life.budget.committed + 9
    return Sign.GRANTED


def _late(life, seconds, event):
    life.now += seconds
    return event


def _stored(life, kind, *args, **rest):
    return on.Stored(life.last(kind), Outcome(*args, changed=True, **rest))


def _of_former(life):
    life.work.former |= {"t0"}
    return on.Delivered(delivery("t0", DONE, SongEvent.COMPLETED))


def _begun_stale(life):
    step = attrs.evolve(life.last(steps.Begin), attempt=life.work.attempt - 1)
    return on.Stored(step, Outcome(life.record("sending", attempts=step.attempt), changed=True))


NO_JOURNAL = JournalError("the file is no journal", passing=False)
LOST = TransportError("the connection was lost")
EVENTS = {
    "granted": lambda life: Sign.GRANTED,
    "over-budget": _over,
    "a-minute-later": lambda life: _late(life, 60.5, Sign.GRANTED),
    "stale": lambda life: Sign.STALE,
    "departed": lambda life: Sign.DEPARTED,
    "submitted": lambda life: on.Submitted(),
    "taken": lambda life: on.Taken(),
    "conflict": lambda life: on.Taken('{"op":"other"}'),
    "cancel": lambda life: given_up(life.work),
    "timeout": lambda life: on.GivenUp(JobTimeout(life.work.job)),
    "released": lambda life: on.GivenUp(JobCancelled(life.work.job), released=True),
    "excluded": lambda life: on.Excluded(AuthenticationError("wrong key", status=401)),
    "broke": lambda life: on.Broke(BROKE),
    # The answer to the submit.
    "ok": lambda life: on.Answered(accepted("t1")),
    "ok-t2": lambda life: on.Answered(accepted("t2")),
    "400": lambda life: on.Answered(refusal(400, "too rude")),
    "401": lambda life: on.Answered(refusal(401, "wrong key")),
    "402": lambda life: on.Answered(refusal(402, POOR)),
    "403": lambda life: on.Answered(refusal(403, "no active subscription")),
    "429": lambda life: on.Answered(REFUSED),
    "500": lambda life: on.Answered(refusal(500, "sorry")),
    "500-t1": lambda life: on.Answered(refusal(500, "sorry", task_id="t1")),
    "400-t2": lambda life: on.Answered(refusal(400, "sorry", task_id="t2")),
    "senseless": lambda life: on.Answered(reply({"code": 200})),
    "not-sent": lambda life: on.Failed(NotSent("no connection")),
    "lost": lambda life: on.Failed(LOST),
    # A poll.
    "runs": lambda life: on.Answered(RUNNING, poll=True),
    "streams": lambda life: on.Answered(STREAMS, poll=True),
    "done": lambda life: on.Answered(DONE, poll=True),
    "failed": lambda life: on.Answered(FAILED, poll=True),
    "kept": lambda life: on.Answered(KEPT, poll=True),
    "stuck": lambda life: _late(life, 3600.5, on.Answered(RUNNING, poll=True)),
    "poll-400": lambda life: on.Answered(refusal(400, "no"), poll=True),
    "poll-404": lambda life: on.Answered(refusal(404, "task not found"), poll=True),
    "poll-429": lambda life: on.Answered(REFUSED, poll=True),
    "poll-500": lambda life: on.Answered(refusal(500, "sorry"), poll=True),
    "poll-lost": lambda life: on.Failed(LOST, poll=True),
    "poll-not-sent": lambda life: on.Failed(NotSent("no connection"), poll=True),
    "poll-silent": lambda life: _late(life, 3600.5, on.Failed(LOST, poll=True)),
    # A webhook.
    "streaming": lambda life: on.Delivered(delivery("t1")),
    "completed": lambda life: on.Delivered(delivery("t1", DONE, SongEvent.COMPLETED)),
    "refunded": lambda life: on.Delivered(delivery("t1", FAILED, SongEvent.FAILED)),
    "half": lambda life: on.Delivered(delivery("t1", HALF, SongEvent.COMPLETED)),
    "odd": lambda life: on.Delivered(delivery("t1", refusal(400, "sorry"), "song.odd")),
    "of-t2": lambda life: on.Delivered(delivery("t2", DONE, SongEvent.COMPLETED)),
    "of-former": _of_former,
    "of-none": lambda life: on.Delivered(delivery(None, DONE, SongEvent.COMPLETED)),
    # The journal about its entering.
    "entered-conflict": lambda life: life.enters(life.record("queued", "other", request='{"op":"other"}')),
    "entered-error": lambda life: life.enters(None, error=NO_JOURNAL),
    "entered-gone": lambda life: life.enters(None),
    # The journal about its attempt.
    "begun-well": lambda life: life.begins(life.record("sending")),
    "begun-stale": _begun_stale,
    "begun-adopted": lambda life: life.begins(life.record("queued", "other", attempts=7)),
    "begun-elsewhere": lambda life: life.begins(life.record("sending", "other", sender="other")),
    "begun-over": lambda life: life.begins(life.record("cancelled", None, error=OVER)),
    "begun-cancelled": lambda life: life.begins(life.record("cancelled", None)),
    "begun-taken": lambda life: life.begins(life.record("submitted", "other")),
    "begun-mine": lambda life: life.begins(life.record("submitted")),
    "begun-unknown": lambda life: life.begins(life.record("unknown", None)),
    "begun-done": lambda life: life.begins(life.record("succeeded", None)),
    "begun-gone": lambda life: life.begins(None),
    "begun-error": lambda life: life.begins(None, error=NO_JOURNAL),
}
OVER = "would exceed the budget: it costs 10 credits, 9 of 20 are left"
OWNERS = {"nobody": None, "mine": "mine", "other": "other"}
# With no other record does the journal answer who enters: who asks has what nobody else has, or it is another's, who
# lives; what ended is nobody's; what was being sent by one who is no more is unknown; what was cancelled waits again.
ENTERED = ("queued-mine", "queued-other", "sending-other", "submitted-mine", "submitted-other")
ENTERED += ("succeeded-nobody", "failed-nobody", "unknown-nobody")
KEPT_STATES = [state for state in JobState if state is not JobState.DETACHED]
for _state in KEPT_STATES:
    for _name, _owner in OWNERS.items():
        EVENTS[f"heard-{_state}-{_name}"] = lambda life, s=_state, o=_owner: on.Heard(life.record(s, o))
        if f"{_state}-{_name}" in ENTERED:
            EVENTS[f"entered-{_state}-{_name}".removesuffix("-nobody")] = lambda life, s=_state, o=_owner: life.enters(
                life.record(s, o)
            )


# --- names of what follows -------------------------------------------------------------------------------------------


def named(effect, now=START):
    """Return a short name of an effect that tells all of it but texts."""
    match effect:
        case Do():
            return effect.name.lower().replace("_", "-")
        case Put(step=step):
            return named_step(step)
        case Queue(delay=seconds):
            return "queue" if seconds is None else f"queue+{seconds:g}"
        case Watch(age=age, exact=exact):
            return f"watch{'@' if exact else '~'}{'?' if age is None else f'{age:g}'}"
        case PollAt(moment=moment):
            return f"poll+{moment - now:g}"
        case on.Credited(credits=None):
            return "refund"
        case on.Credited(credits=credits):
            return f"paid{credits}"
        case Report(error=error):
            return f"report:{type(error).__name__}"
        case Say():
            return "say"
    raise AssertionError(effect)


def named_step(step):
    match step:
        case steps.Enter(record=JobRecord(state=state), resend=resend):
            return f"Enter:{state}{''.join(f'+{state}' for state in resend)}"
        case steps.Accepted(task_id=task_id, attempt=attempt):
            return f"Accepted:{task_id}#{'?' if attempt is None else attempt}"
        case steps.Finished(error=error, refunded=refunded, task_id=task_id):
            how = "" if error is None else {True: ":refunded", False: ":kept", None: ":failed"}[refunded]
            return f"Finished:{task_id}{how}"
        case steps.Released(cancelled=cancelled):
            return "Released!" if cancelled else "Released"
        case steps.Refused(attempt=attempt, final=final):
            return f"Refused{'!' if final else ''}#{attempt}"
        case steps.Begin() | steps.NotBegun() | steps.OutcomeUnknown():
            return f"{type(step).__name__}#{step.attempt}"
    raise AssertionError(step)


def told(life, effects):
    """Return what became of a work, in one line: its state, and what is to be done."""
    return " ".join([f"{life.work.state}:", *(named(effect, life.now) for effect in effects)])
