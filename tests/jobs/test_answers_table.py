"""What becomes of a job by each answer: of a paid POST, of a free one, of a poll, of a webhook and of an upload.

A cell says how it goes on, and after a colon what was reported or raised: `done`, `failed`, `task` (the service has
it), `runs` (polled on), `polls` (polled after a while, or at once when a webhook is odd), `again` (sent again: it is
free, or surely was not taken), `unknown`, `ends` (its task can be attached again). `-`: no webhook can bring that.
"""

import json

import pytest

from aimusic_async import SongEvent, sonic
from aimusic_async.api.whose import NOT_TAKEN
from aimusic_async.api.wire import Reply
from aimusic_async.events import JobState
from aimusic_async.jobs import happenings as on
from aimusic_async.jobs.happenings import Do, PollAt, Report, Sign

from .lives import SONG, delivery, given_up, life_in

CLIP = {"clip_id": "c1", "state": "succeeded", "title": "T", "audio_url": "https://x.test/c1.mp3"}
PAGE = "<html><head><meta name='description' content='lyrics, credits and subscription'></head></html>"
ANSWERS = {
    "uploaded": (200, {"code": 200, "clip_id": "u-1", "message": "success"}),
    "accepted": (200, {"message": "success", "task_id": "t1"}),
    "accepted, under data": (200, {"code": 200, "data": {"task_id": "t1"}}),
    "accepted, spelt taskId": (200, {"code": 200, "data": {"taskId": "t1"}}),
    "accepted, and an error": (500, {"type": "server_error", "error": "odd", "task_id": "t1"}),
    "accepted, cut off": (200, '{"message": "success", "task_id": "t1", "mess'),
    "not ready": (202, {"type": "not_ready", "error": "wait"}),
    "finished": (200, {"code": 200, "data": [CLIP, {**CLIP, "clip_id": "c2"}]}),
    "finished, COMPLETED": (200, {"code": 200, "data": [{**CLIP, "state": " COMPLETED "}]}),
    "finished, in an envelope": (200, {"code": 200, "data": {"status": "SUCCESS", "data": [CLIP]}}),
    "running": (200, {"code": 200, "data": [{**CLIP, "state": "mastering"}]}),
    "failed": (200, {"code": 200, "data": [{**CLIP, "state": "render_failed", "error": {"message": "too loud"}}]}),
    "failed, HTTP 500": (500, {"type": "failed", "message": "too loud"}),
    "timed out": (504, {"type": "timeout", "error": "Task failed due to timeout. Credits were previously refunded."}),
    "no data": (200, {"code": 200, "message": "success"}),
    "nothing": (200, {}),
    "null": (200, "null"),
    "a bare list": (200, [CLIP]),
    "a page, 200": (200, PAGE),
    "validation": (400, {"type": "validation_error", "error": "The title is too long."}),
    "validation, code as text": (200, {"code": "400", "message": "The title is too long."}),
    "validation, detail as list": (422, {"detail": [{"loc": ["body", "tags"], "msg": "too long"}]}),
    "unknown task": (400, {"type": "validation_error", "error": "task not found."}),
    "wrong key": (401, {"type": "unauthorized", "error": "Invalid API key."}),
    "no credits": (402, {"type": "insufficient_credits", "error": "Not enough credits."}),
    "no subscription": (403, {"type": "forbidden", "error": "You do not have an active subscription."}),
    "rude lyrics": (403, {"type": "forbidden", "error": "The lyrics contain inappropriate content: 'x'."}),
    "not found": (404, {"type": "not_found", "error": "task not found"}),
    "retired": (410, {"type": "endpoint_retired", "error": "Switched off."}),
    "too fast": (429, {"type": "rate_limit", "error": "slow down"}),
    "too fast, a page": (429, PAGE),
    "server error": (500, {"type": "server_error", "error": "Internal Server Error."}),
    "moved, 302": (302, ""),
    "moved, 307": (307, ""),
    "moved, 308": (308, ""),
    "a page, 400": (400, PAGE),
    "a page, 401": (401, PAGE),
    "a page, 403": (403, PAGE),
    "a page, 404": (404, PAGE),
    "a page, 405": (405, PAGE),
    "a page, 408": (408, PAGE),
    "a page, 413": (413, PAGE),
    "a page, 414": (414, PAGE),
    "a page, 431": (431, PAGE),
    "a page, 502": (502, PAGE),
    "plain text, 504": (504, "FUNCTION_INVOCATION_TIMEOUT"),
    "an empty 503": (503, ""),
    "a gateway's JSON, 403": (403, {"message": "Forbidden: lyrics, credits, subscription"}),
    "a gateway's JSON, 404": (404, {"statusCode": 404, "error": "Not Found", "message": "Cannot GET /task"}),
    "a gateway's JSON, 408": (408, {"error": {"code": "408", "message": "Request timed out"}}),
    "a gateway's JSON, 502": (502, {"message": "An invalid response was received from the upstream server"}),
    "a problem's JSON, 403": (403, {"type": "about:blank", "title": "Forbidden", "detail": "no subscription"}),
}

ERRORS = {
    "Invalid": "ValidationError", "Key": "AuthenticationError", "Poor": "InsufficientCredits", "Server": "ServerError",
    "Plan": "SubscriptionRequired", "Content": "ContentRejected", "NotFound": "NotFound", "Retired": "EndpointRetired",
    "Fast": "RateLimited", "Gateway": "GatewayError",
}  # fmt: skip
SHORT = {name: short for short, name in ERRORS.items()}
ENDS = {
    JobState.SUCCEEDED: "done",
    JobState.FAILED: "failed",
    JobState.UNKNOWN: "unknown",
    JobState.DETACHED: "ends",
    JobState.QUEUED: "again",
}
PAID, FREE, UPLOAD = SONG, sonic.GetMidi(clip_id="c"), sonic.UploadMusic(url="https://me.test/a.mp3")
COLUMNS = ("paid", "free", "poll", "webhook", "upload")
# answer                    | paid            free            poll            webhook  upload
TABLE = """
uploaded                    | unknown:Server  again           runs            polls    done
accepted                    | task            again           runs            polls    task
accepted, under data        | task            again           runs            polls    task
accepted, spelt taskId      | task            again           runs            polls    task
accepted, and an error      | task            again:Server    polls:Server    polls    task
accepted, cut off           | task            again:Gateway   polls:Gateway   -        task
not ready                   | unknown:Server  again           runs            polls    unknown:Server
finished                    | unknown:Server  again           done            done     unknown:Server
finished, COMPLETED         | unknown:Server  again           done            done     unknown:Server
finished, in an envelope    | unknown:Server  again           done            done     unknown:Server
running                     | unknown:Server  again           runs            polls    unknown:Server
failed                      | unknown:Server  again           failed          failed   unknown:Server
failed, HTTP 500            | unknown:Server  again:Server    failed          failed   unknown:Server
timed out                   | unknown:Server  again:Server    failed          failed   unknown:Server
no data                     | unknown:Server  again           runs            polls    unknown:Server
nothing                     | unknown:Gateway again:Gateway   polls:Gateway   polls    unknown:Gateway
null                        | unknown:Gateway again:Gateway   polls:Gateway   -        unknown:Gateway
a bare list                 | unknown:Gateway again:Gateway   polls:Gateway   -        unknown:Gateway
a page, 200                 | unknown:Gateway again:Gateway   polls:Gateway   -        unknown:Gateway
validation                  | failed:Invalid  failed:Invalid  ends:Invalid    polls    failed:Invalid
validation, code as text    | failed:Invalid  failed:Invalid  ends:Invalid    polls    failed:Invalid
validation, detail as list  | failed:Invalid  failed:Invalid  polls:Gateway   polls    failed:Invalid
unknown task                | failed:NotFound again:NotFound  polls:NotFound  polls    failed:NotFound
wrong key                   | failed:Key      failed:Key      ends:Key        polls    failed:Key
no credits                  | again:Poor      again:Poor      ends:Poor       polls    again:Poor
no subscription             | failed:Plan     failed:Plan     ends:Plan       polls    failed:Plan
rude lyrics                 | failed:Content  failed:Content  ends:Content    polls    failed:Content
not found                   | failed:NotFound again:NotFound  polls:NotFound  polls    failed:NotFound
retired                     | failed:Retired  failed:Retired  ends:Retired    polls    failed:Retired
too fast                    | again:Fast      again:Fast      polls:Fast      polls    again:Fast
too fast, a page            | again:Fast      again:Fast      polls:Fast      -        again:Fast
server error                | unknown:Server  again:Server    polls:Server    polls    unknown:Server
moved, 302                  | unknown:Gateway again:Gateway   polls:Gateway   -        unknown:Gateway
moved, 307                  | again:Gateway   again:Gateway   polls:Gateway   -        again:Gateway
moved, 308                  | again:Gateway   again:Gateway   polls:Gateway   -        again:Gateway
a page, 400                 | unknown:Gateway again:Gateway   polls:Gateway   -        unknown:Gateway
a page, 401                 | unknown:Gateway again:Gateway   polls:Gateway   -        unknown:Gateway
a page, 403                 | unknown:Gateway again:Gateway   polls:Gateway   -        unknown:Gateway
a page, 404                 | unknown:Gateway again:Gateway   polls:Gateway   -        unknown:Gateway
a page, 405                 | again:Gateway   again:Gateway   polls:Gateway   -        again:Gateway
a page, 408                 | unknown:Gateway again:Gateway   polls:Gateway   -        unknown:Gateway
a page, 413                 | failed:Gateway  again:Gateway   polls:Gateway   -        failed:Gateway
a page, 414                 | failed:Gateway  again:Gateway   polls:Gateway   -        failed:Gateway
a page, 431                 | failed:Gateway  again:Gateway   polls:Gateway   -        failed:Gateway
a page, 502                 | unknown:Gateway again:Gateway   polls:Gateway   -        unknown:Gateway
plain text, 504             | unknown:Gateway again:Gateway   polls:Gateway   -        unknown:Gateway
an empty 503                | unknown:Gateway again:Gateway   polls:Gateway   -        unknown:Gateway
a gateway's JSON, 403       | unknown:Gateway again:Gateway   polls:Gateway   polls    unknown:Gateway
a gateway's JSON, 404       | unknown:Gateway again:Gateway   polls:Gateway   polls    unknown:Gateway
a gateway's JSON, 408       | unknown:Gateway again:Gateway   polls:Gateway   polls    unknown:Gateway
a gateway's JSON, 502       | unknown:Gateway again:Gateway   polls:Gateway   polls    unknown:Gateway
a problem's JSON, 403       | unknown:Gateway again:Gateway   polls:Gateway   polls    unknown:Gateway
"""

OTHERS = ("a page", "a gateway", "a problem", "plain", "an empty", "moved")
"""How the names of answers begin that are not the service's."""


def rows():
    for line in TABLE.strip().splitlines():
        name, _, cells = line.partition("|")
        yield name.strip(), dict(zip(COLUMNS, cells.split(), strict=True))


def parsed(name):
    status, body = ANSWERS[name]
    raw = body if isinstance(body, str) else json.dumps(body)
    return Reply.parse(status, raw.encode(), location="https://elsewhere.test/create")


def lived(column, reply):
    """Let an answer come; return the life, and how it goes on."""
    match column:
        case "poll":
            life = life_in("submitted")
            effects = life.happen(on.Answered(reply, poll=True))
        case "webhook":
            life = life_in("submitted")
            known = {**reply.body, "event": "song.completed"}
            effects = life.happen(on.Delivered(delivery("t1", Reply(status=200, body=known), SongEvent.COMPLETED)))
        case _:
            life = life_in("sent", request={"paid": PAID, "free": FREE, "upload": UPLOAD}[column])
            effects = life.happen(on.Answered(reply))
    waits = "polls" if any(isinstance(effect, PollAt) for effect in effects) else "runs"
    word = ENDS.get(life.work.state, "task" if column in {"paid", "free", "upload"} else waits)
    reported = [type(effect.error).__name__ for effect in effects if isinstance(effect, Report)]
    raised = [type(life.work.error).__name__] if life.work.state in {JobState.FAILED, JobState.DETACHED} else []
    error = next((SHORT[one] for one in (*reported, *raised) if one in SHORT), None)
    return life, f"{word}:{error}" if error else word


def test_the_table_has_each_answer_once_and_more_than_forty():
    assert [name for name, _ in rows()] == list(ANSWERS)
    assert len(ANSWERS) > 40


@pytest.mark.parametrize("name", ANSWERS)
def test_each_answer_makes_of_each_request_what_the_table_says(name):
    wanted = dict(rows())[name]
    reply = parsed(name)
    found = {column: "-" if cell == "-" else lived(column, reply)[1] for column, cell in wanted.items()}
    assert found == wanted


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("column", ["paid", "upload"])
def test_no_paid_request_is_sent_again_unless_it_surely_was_not_taken(name, column):
    life, cell = lived(column, parsed(name))
    if cell.startswith("again"):
        assert ANSWERS[name][0] in NOT_TAKEN or cell == "again:Poor"
        return
    for event in (Sign.GRANTED, Sign.STALE, on.Answered(parsed(name)), given_up(life.work)):
        effects = life.happen(event) if event is not Sign.GRANTED or life.work.done else []
        assert Do.SEND not in effects


@pytest.mark.parametrize("name", [name for name in ANSWERS if name.startswith("accepted")])
def test_an_id_that_stands_in_an_answer_is_kept(name):
    for column in ("paid", "upload"):
        life, _ = lived(column, parsed(name))
        assert (life.work.state, life.work.task_id) == (JobState.SUBMITTED, "t1")


@pytest.mark.parametrize(
    "name", [name for name in ANSWERS if name.startswith(("a page", "a gateway", "plain", "an emp"))]
)
def test_what_a_gateway_says_is_no_verdict(name):
    for column, cell in dict(rows())[name].items():
        word, _, error = cell.partition(":")
        assert error in {"Gateway", ""}, (column, cell)
        assert word != "ends"
