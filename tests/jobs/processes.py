"""Processes that share a journal and a service, as a model: what dispatchers, write queues and users do."""

import random
from collections import Counter, deque

import attrs
from hypothesis import strategies as st

from aimusic_async.api.wire import SongEvent
from aimusic_async.errors import JobCancelled, JobTimeout, MusicError, NotSent, TransportError
from aimusic_async.events import JobState
from aimusic_async.jobs import happenings as on
from aimusic_async.jobs.happenings import Do, Put, Queue, Sign, Watch
from aimusic_async.jobs.inbox import steps_of
from aimusic_async.jobs.job import Job
from aimusic_async.jobs.lifecycle import advance
from aimusic_async.jobs.roster import Roster
from aimusic_async.jobs.work import Order, Rules, Where, Work
from aimusic_async.journal import steps
from aimusic_async.journal.budget import Budget
from aimusic_async.journal.memory import MemoryJournal
from aimusic_async.journal.record import record_id

from .lives import ACCOUNT, DONE, FAILED, REFUSED, RUNNING, SONG, STREAMS, accepted, delivery, refusal

KEYS = ["a", "b", "c"]
GROUP = "album"
LIMIT = 25
COST = SONG.cost
RISKY = (JobState.SENDING, JobState.UNKNOWN)


@attrs.define(eq=False)
class Post:
    """A submit on its way, or at the service."""

    work: Work
    attempt: int
    departed: bool = False
    task: str | None = None
    """Set when the service took it."""
    judged: bool = False
    """Whether the service has seen it."""


@attrs.define(eq=False)
class Process:
    """What the dispatcher, the write queue and the schedule of one session hold."""

    name: str
    now: float = 0.0
    roster: Roster = attrs.field(factory=Roster)
    works: list = attrs.field(factory=list)
    queue: deque = attrs.field(factory=deque)
    outcomes: deque = attrs.field(factory=deque)
    tokens: list = attrs.field(factory=list)
    grants: list = attrs.field(factory=list)
    stale: list = attrs.field(factory=list)
    posts: list = attrs.field(factory=list)
    watched: list = attrs.field(factory=list)
    waiting: list = attrs.field(factory=list)
    all: list = attrs.field(factory=list)
    budget: Budget = attrs.field(factory=lambda: Budget(4 * COST))
    heard: int = 0
    cut: bool = False


def pick(dice, items):
    """Return one of the items, as Hypothesis or a random number says."""
    items = list(items)
    return dice.choice(items) if isinstance(dice, random.Random) else dice.draw(st.sampled_from(items))


def without(items, one):
    if one in items:
        items.remove(one)


class World:
    """All processes, their journal and the service."""

    def __init__(self):
        self.now = 1000.0
        self.journal = MemoryJournal(clock=lambda: self.now, steady=lambda: self.now)
        self.processes = []
        self.born = 0
        self.done = []
        self.tasks = {}  # the service's: id → key, attempt, sender and state
        self.paid = Counter()
        self.decisions = Counter()
        self.lost = set()  # ids whose only witness died before it could write them down
        for _ in range(2):
            self.bear()

    def bear(self):
        self.born += 1
        self.processes.append(Process(f"p{self.born}", heard=self.journal._sequence))
        self.journal._owners[f"p{self.born}"] = (ACCOUNT, self.now)

    # --- what the dispatcher does ----------------------------------------------------------------------------------

    def happen(self, process, work, event):
        was = work.state
        effects = advance(work, event, self.now)
        assert not (was is JobState.UNKNOWN and work.state is not JobState.UNKNOWN)
        for effect in effects:
            self.carry_out(process, work, effect)
        if work.state is not JobState.SENDING:
            without(process.grants, work)

    def carry_out(self, process, work, effect):
        match effect:
            case Put(step=step):
                process.queue.append((work, step))
            case Queue():
                without(process.tokens, work)
                process.tokens.append(work)
            case Watch():
                without(process.watched, work)
                process.watched.append(work)
            case Do.SEND:
                self.send(process, work)
            case Do.WITHDRAW | Do.END | Do.FINISHED | Do.FINISHED_NOW:
                for line in (process.tokens, process.watched):
                    without(line, work)
                if effect is Do.END:
                    assert work.done
                    without(process.works, work)
                    without(process.waiting, work)
                    process.roster.leave(work)
            case Do.AWAIT:
                process.waiting.append(work)
            case Do.REENTER:
                self.enter(process, work)

    def send(self, process, work):
        assert not [post for post in process.posts if post.work is work], "it is being sent already"
        record = self.journal._records[work.id]
        assert work.begun
        assert record.attempts >= work.attempt, "nothing was written down of this attempt"
        assert process.budget.committed <= process.budget.limit
        if work in process.grants:
            process.grants.remove(work)
            process.posts.append(Post(work, work.attempt))
        else:
            process.stale.append(work)

    def enter(self, process, work, record=None):
        other = process.roster.claim(work)
        self.happen(process, work, on.Submitted(record) if other is None else on.Taken())

    # --- users -----------------------------------------------------------------------------------------------------

    def submit(self, data):
        process = pick(data, self.processes)
        if len(process.works) >= 4:
            return
        key = pick(data, KEYS[: 1 + self.born % 3])
        resend = pick(data, [(), (JobState.UNKNOWN,)])
        rules = Rules(owner=process.name, account=ACCOUNT, journalled=True)
        order = Order(budgets=(process.budget,), limit=LIMIT, group=GROUP, resend=resend)
        work = Work.of(rules, type(SONG), key, order, request=SONG)
        work.hooked = pick(data, [False, True])
        Job(None, work)
        process.works.append(work)
        process.all.append(work)
        self.enter(process, work)

    def some(self, data, of):
        """Draw one of what all processes hold; None when they hold nothing."""
        all_ = [(process, each) for process in self.processes for each in getattr(process, of)]
        return pick(data, all_) if all_ else (None, None)

    def give_up(self, data):
        process, work = self.some(data, "works")
        kind = pick(data, ["cancel", "timeout", "released", "broke"])
        error = JobTimeout(work.job) if kind == "timeout" else JobCancelled(work.job)
        broke = kind == "broke" and not any(post.work is work for post in process.posts)  # its POST would be broken off
        event = on.Broke(MusicError("broke")) if broke else on.GivenUp(error, released=kind == "released")
        self.happen(process, work, event)

    def no_webhook_came_in_time(self, data):
        process, work = self.some(data, "waiting")
        process.waiting.remove(work)
        if work.awaiting is not None:
            self.happen(process, work, on.GivenUp(JobTimeout(work.job)))

    # --- the journal -----------------------------------------------------------------------------------------------

    def store_what_waits(self, data):
        process = pick(data, [process for process in self.processes if process.queue and not process.cut])
        for _ in range(len(process.queue)):
            self.store(process, lost=False)
            while process.outcomes:
                self.hear(process)

    def store_one(self, data):
        process = pick(data, [process for process in self.processes if process.queue and not process.cut])
        self.store(process, lost=pick(data, [False, True]))

    def store(self, process, *, lost):
        work, step = process.queue[0]
        self.beat(process)
        before = self.journal._records.get(step.id)
        outcome = self.journal._apply(step)
        if not isinstance(step, steps.Enter):
            assert outcome.record is not None, "every step has a record"
        elif step.resend and before is not None and before.state in RISKY and outcome.record.state is JobState.QUEUED:
            self.decisions[work.key] += not self.surely_not_taken(before)
        if lost:
            return  # it stays in the queue, and is applied again
        process.queue.popleft()
        if isinstance(step, steps.Enter | steps.Begin):
            process.outcomes.append((work, step, outcome))

    def hear(self, process):
        work, step, outcome = process.outcomes.popleft()
        self.happen(process, work, on.Stored(step, outcome))
        process.roster.placed(work)

    def the_journal_s_word_arrives(self, data):
        self.hear(pick(data, [process for process in self.processes if process.outcomes]))

    def listen(self, data):
        process = pick(data, [process for process in self.processes if not process.cut])
        self.beat(process)
        for work in list(process.roster.followers()):
            self.enter(process, work)
        for record in sorted(self.journal._records.values(), key=lambda record: record.sequence):
            if record.sequence > process.heard:
                process.heard = record.sequence
                for work in list(process.roster.concerned((record.group, record.key))):
                    self.happen(process, work, on.Heard(record))

    def the_link_to_the_journal_is_cut_or_works_again(self, data):
        process = pick(data, self.processes)
        process.cut = not process.cut

    def time_passes(self, data):
        self.now += pick(data, [1.0, 31.0, 61.0, 250.0])
        for process in self.processes:
            if not process.cut:
                self.beat(process)

    def beat(self, process):
        self.journal._owners[process.name] = (ACCOUNT, self.now)

    # --- tokens and requests ---------------------------------------------------------------------------------------

    def a_token_is_granted(self, data):
        process, work = self.some(data, "tokens")
        process.tokens.remove(work)
        process.grants.append(work)
        self.happen(process, work, Sign.GRANTED)

    def a_token_grows_stale(self, data):
        process, work = self.some(data, "grants")
        process.grants.remove(work)

    def its_token_is_gone(self, data):
        process, work = self.some(data, "stale")
        process.stale.remove(work)
        self.happen(process, work, Sign.STALE)

    def a_post_departs(self, data):
        all_ = [(process, post) for process in self.processes for post in process.posts if not post.departed]
        process, post = pick(data, all_)
        post.departed = post.judged = True
        self.happen(process, post.work, Sign.DEPARTED)
        if pick(data, [True, True, False]):
            post.task = f"t{len(self.tasks) + 1}"
            self.tasks[post.task] = [post.work.key, process.name, post.attempt, "running"]
            self.paid[post.work.key] += 1

    def a_post_is_over(self, data):
        process, post = self.some(data, "posts")
        how = pick(data, ["answer", "answer", "lost", "busy"])
        process.posts.remove(post)
        if not post.departed:
            event = on.Failed(NotSent("no connection"))
        elif how == "lost":
            event = on.Failed(TransportError("the connection was lost"))
        elif post.task is not None:
            event = on.Answered(accepted(post.task))
        else:
            event = on.Answered(REFUSED if how == "busy" else refusal(400, "too rude"))
        self.happen(process, post.work, event)

    def tells(self, work):
        """Whether a poll would say something new of a task."""
        return self.tasks[work.task_id][3] != "running" or work.raw is None or work.trouble is not None

    def a_task_is_polled(self, data):
        process, work = self.some(data, "watched")
        said = {"running": RUNNING, "done": DONE, "failed": FAILED}[self.tasks[work.task_id][3]]
        self.happen(process, work, on.Answered(said, poll=True))

    def a_task_ends(self, data):
        state = pick(data, ["done", "failed"])
        task = self.tasks[pick(data, sorted(self.tasks))]
        task[3] = state if task[3] == "running" else task[3]

    def a_webhook_reports(self, data):
        task_id = pick(data, sorted(self.tasks))
        process = pick(data, self.processes)
        key, *_, state = self.tasks[task_id]
        event, said = {
            "running": (SongEvent.STREAMING, STREAMS),
            "done": (SongEvent.COMPLETED, DONE),
            "failed": (SongEvent.FAILED, FAILED),
        }[state]
        brought = delivery(task_id, said, event)
        works = [work for work in process.works if work.key == key and work.where is Where.HERE and work.hooked]
        if works:
            self.happen(process, works[0], on.Delivered(brought))
        else:
            process.queue.extend((None, step) for step in steps_of(brought, record_id(ACCOUNT, GROUP, key)))

    # --- fate --------------------------------------------------------------------------------------------------------

    def a_process_dies(self, data):
        process = pick(data, self.processes)
        self.processes.remove(process)
        for _, step in process.queue:
            if isinstance(step, steps.Accepted):
                self.lost.add(step.task_id)
        self.bear()

    def somebody_looks_and_settles(self, data):
        key = pick(data, KEYS)
        record = self.journal._records.get(record_id(ACCOUNT, GROUP, key))
        if record is None or record.state is not JobState.UNKNOWN:
            return
        taken = [
            task_id
            for task_id, (_, sender, attempt, _) in self.tasks.items()
            if (sender, attempt) == (record.sender, record.attempts) and self.tasks[task_id][0] == key
        ]
        if taken or self.surely_not_taken(record):
            self.journal._apply(steps.Settled(record.id, record.attempts, taken[0] if taken else None))

    def surely_not_taken(self, record):
        """Whether the latest attempt of a record was not taken, and can not be any more."""
        name = (record.key, record.sender, record.attempts)
        if any((key, sender, attempt) == name for key, sender, attempt, _ in self.tasks.values()):
            return False
        for process in self.processes:
            if process.name == record.sender:
                about = [work for work in process.works if work.key == record.key and work.attempt == record.attempts]
                may = [work for work in about if work.attempting or work.in_flight]
                on_its_way = [post for post in process.posts if post.work.key == record.key and not post.judged]
                return not (may or on_its_way)
        return True
