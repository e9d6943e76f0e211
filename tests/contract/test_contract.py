"""Recorded exchanges: what each operation puts on the wire, and what each answer to it means.

The recordings are written from the service's contract, not from this package: they are a witness of their own.
One file is one exchange, `<operation>/<case>.json`, or `shape.<shape>/<case>.json` for a shape of answers that any
operation may meet:

about     One sentence: what is special about the case.
request   `op` and the fields as a user gives them.
sends     `method`, `path` (below `/api/v1`) and, for a POST, the exact JSON `body` that must go out.
answers   What comes back, each with `status` and either `body` (JSON), `text` (anything else) or `latin1` (bytes that
          are no UTF-8); `retry_after`, `date` and `location` are the headers of those names. For a task: the answer to
          the submit, then one a poll. For an operation that is answered at once: successive answers to the same
          request, all but the last of which say that it is not ready.
polls     Tasks: the path of the polls.
states    Tasks: what each poll shows: `running`, `succeeded`, `failed` or `error:<class>`.
sees      Tasks: the clips that each poll shows, finished or not (optional).
gives     A part of what the last answer gives: the result, the error, or of a failed task its `reason`. An object is
          compared by the fields it names, a list by all its entries, a time as ISO text.
refused   The class of the error that the last answer raises, when it answers a submit or a direct request.
refunded  Failed tasks: whether the answer reports a refund; null when it does not say.
xfail     `{"sends" or "answers": reason}`: which direction of the case the package is known to get wrong.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pytest

import aimusic_async
from aimusic_async import MusicError
from aimusic_async.api.operations import operations
from aimusic_async.api.plain import from_plain, to_plain
from aimusic_async.api.request import Answer
from aimusic_async.api.wire import Reply, encode, read_now, read_task, read_task_id

HERE = Path(__file__).parent
RECORDINGS = {
    path.relative_to(HERE).with_suffix("").as_posix(): json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(HERE.glob("*/*.json"))
}
NEEDED = {"about", "request", "sends", "answers"}
OF_TASKS = {"polls", "states", "sees", "refunded"}
HEADERS = ("retry_after", "date", "location")
KNOWN = NEEDED | OF_TASKS | {"gives", "refused", "xfail"}

# The error page, whole: status, type, text ("…" stands for what the service quotes), and the class a user catches.
INVALID, FORBIDDEN, UNAUTHORIZED = (400, "validation_error"), (403, "forbidden"), (401, "unauthorized")
ERROR_PAGE = (
    (
        *INVALID,
        (
            "The 'mv' field is invalid. The model should be 'sonic-v3-5', 'sonic-v4', 'sonic-v4-5', 'sonic-v4-5-plus', "
            "or 'sonic-v5'."
        ),
        "ValidationError",
    ),
    (*INVALID, "The 'persona_id' field is required when task_type = persona_music.", "ValidationError"),
    (*INVALID, "The 'make_instrumental' field should be boolean.", "ValidationError"),
    (*INVALID, "The 'custom_mode' field should be boolean.", "ValidationError"),
    (*INVALID, "The prompt character length should be less than 3000.", "ValidationError"),
    (*INVALID, "The 'gpt_description_prompt' character length should be less than 200.", "ValidationError"),
    (*INVALID, "The tags character length should be less than 200.", "ValidationError"),
    (*INVALID, "The title character length should be less than 80.", "ValidationError"),
    (*INVALID, "description is required.", "ValidationError"),
    (*INVALID, "The description character length should be less than 120.", "ValidationError"),
    (*INVALID, "The description character length should be less than 200.", "ValidationError"),
    (*INVALID, "name and continue_clip_id are required fields.", "ValidationError"),
    (*INVALID, "The name character length should be less than 80.", "ValidationError"),
    (*INVALID, "task not found.", "NotFound"),
    (*INVALID, "missing task id.", "ValidationError"),
    (*UNAUTHORIZED, "Authorization header is missing.", "AuthenticationError"),
    (*UNAUTHORIZED, "Invalid authorization format.", "AuthenticationError"),
    (
        *FORBIDDEN,
        "The remaining credits are not enough. You can buy more one-time credit packs or subscribe.",
        "InsufficientCredits",
    ),
    (
        *FORBIDDEN,
        "You do not have an active subscription. Please check whether your renewal was successful.",
        "SubscriptionRequired",
    ),
    (*FORBIDDEN, "The lyrics format is invalid. Please check and try again.", "ContentRejected"),
    (*FORBIDDEN, "The lyrics contain copyrighted content: '…'. Please use original lyrics.", "ContentRejected"),
    (*FORBIDDEN, "The lyrics contain inappropriate content: '…'.", "ContentRejected"),
    (*FORBIDDEN, "The song description needs moderation review.", "ContentRejected"),
    (*FORBIDDEN, "The song description contains artist names: '…' which is not allowed.", "ContentRejected"),
    (*FORBIDDEN, "The song description contains producer tags: '…' which is not allowed.", "ContentRejected"),
    (504, "timeout", "Task failed due to timeout. Credits were previously refunded.", "ServerError"),
    (500, "server_error", "Internal Server Error.", "ServerError"),
)


def each(direction=None):
    """Parametrize a test with every recording; those that the package is known to get wrong must fail."""
    return pytest.mark.parametrize(
        "recording",
        [
            pytest.param(
                one,
                id=name,
                marks=pytest.mark.xfail(reason=one["xfail"][direction]) if direction in one.get("xfail", {}) else (),
            )
            for name, one in RECORDINGS.items()
        ],
    )


def reply(answer):
    """Make what the transport would hand on."""
    text = json.dumps(answer["body"]) if "body" in answer else answer.get("text", "")
    body = answer["latin1"].encode("latin-1") if "latin1" in answer else text.encode()
    return Reply.parse(answer["status"], body, **{name: answer[name] for name in HEADERS if name in answer})


def attempt(word, act):
    """Return what an answer gives, and in a word what it shows; an error is what it gives, too."""
    try:
        given = act()
    except MusicError as error:
        return f"error:{type(error).__name__}", error
    return word(given), given


def play(request, answers):
    """Read each answer as the session would: yield in a word what it shows, and what it gives."""
    first, *rest = map(reply, answers)
    if request.answer is not Answer.TASK:
        for one in (first, *rest):
            yield attempt(
                lambda result: "running" if result is None else "succeeded", lambda one=one: read_now(request, one)
            )
        return
    shown, task_id = attempt(lambda _: "accepted", lambda: read_task_id(request, first))
    yield shown, task_id
    for one in rest:
        yield attempt(lambda look: look.state.value, lambda one=one: read_task(type(request), task_id, one))


def expected_words(recording):
    """Return what the answers must show, in words."""
    last = f"error:{recording['refused']}" if "refused" in recording else "succeeded"
    if "polls" in recording:
        return ["accepted", *recording["states"]]
    return ["running"] * (len(recording["answers"]) - 1) + [last]


def differences(wanted, found, where="it"):
    """List where `found` does not hold what is `wanted` of it."""
    if isinstance(wanted, Mapping):
        look_up = found.get if isinstance(found, Mapping) else lambda name, missing: getattr(found, name, missing)
        parts = [(part, look_up(name, "(missing)"), f"{where}.{name}") for name, part in wanted.items()]
    elif isinstance(wanted, list):
        if not isinstance(found, list | tuple) or len(found) != len(wanted):
            return [f"{where}: wanted {len(wanted)} entries, found {found!r}"]
        parts = [(part, there, f"{where}[{i}]") for i, (part, there) in enumerate(zip(wanted, found, strict=True))]
    else:
        there = datetime.fromisoformat(wanted) if isinstance(found, datetime) else wanted
        same = there == found and isinstance(there, bool) == isinstance(found, bool)
        return [] if same else [f"{where}: wanted {wanted!r}, found {found!r}"]
    return [line for part, there, place in parts for line in differences(part, there, place)]


@each("sends")
def test_a_request_goes_out_as_recorded(recording):
    request = from_plain(recording["request"])
    assert {"method": request.endpoint.method, "path": request.endpoint.path} == {
        name: recording["sends"][name] for name in ("method", "path")
    }
    # As text, since Python takes True for 1, which the service does not.
    body = recording["sends"].get("body", {})
    assert json.loads(json.dumps(encode(request))) == body
    assert json.dumps(encode(request), sort_keys=True) == json.dumps(body, sort_keys=True)


@each("sends")
def test_a_request_can_be_written_down_and_read_again(recording):
    written = json.loads(json.dumps(to_plain(from_plain(recording["request"]))))
    assert written == {name: value for name, value in recording["request"].items() if name != "webhook_secret"}
    assert to_plain(from_plain(written)) == to_plain(from_plain(recording["request"]))


@each("answers")
def test_the_answers_mean_what_is_recorded(recording):
    request = from_plain(recording["request"])
    played = list(play(request, recording["answers"]))
    assert [shown for shown, _ in played] == expected_words(recording)
    (_, first), (_, last) = played[0], played[-1]
    if "polls" in recording:
        assert request.endpoint.task_path(first) == recording["polls"]
    for wanted, (_, look) in zip(recording.get("sees", ()), played[1:], strict=False):
        assert not differences(wanted, look.clips)
    if "refunded" in recording:
        assert last.refunded is recording["refunded"]
    result = last.result if recording.get("states", [""])[-1] == "succeeded" else last
    assert not differences(recording.get("gives", {}), result)


@pytest.mark.parametrize("name", operations())
def test_every_operation_has_a_recording_of_a_success(name):
    assert any(
        one["request"]["op"] == name and expected_words(one)[-1] == "succeeded" and "gives" in one
        for one in RECORDINGS.values()
    )


@pytest.mark.parametrize(("status", "kind", "text", "error"), ERROR_PAGE, ids=[row[2] for row in ERROR_PAGE])
def test_every_message_of_the_error_page_has_a_recording(status, kind, text, error):
    pattern = re.compile(".+".join(map(re.escape, text.split("…"))))
    assert any(
        answer["status"] == status
        and answer["body"].get("type") == kind
        and pattern.fullmatch(str(answer["body"].get("error", "")))
        and shown == f"error:{error}"
        for one in RECORDINGS.values()
        for answer, shown in zip(one["answers"], expected_words(one), strict=True)
        if isinstance(answer.get("body"), dict)
    )


def test_no_file_is_left_out():
    ours = {path for path in HERE.rglob("*") if path.is_file() and path.suffix != ".pyc"} - {Path(__file__)}
    assert ours == {HERE / f"{name}.json" for name in RECORDINGS}


@each()
def test_a_recording_is_well_formed(recording, request):
    name = request.node.callspec.id
    assert NEEDED <= recording.keys() <= KNOWN
    assert name.startswith("shape.") or recording["request"]["op"] == name.partition("/")[0]
    assert recording["sends"].keys() == {"method", "path"} | (
        {"body"} if recording["sends"]["method"] == "POST" else set()
    )
    assert recording.get("xfail", {}).keys() <= {"sends", "answers"}
    for answer in recording["answers"]:
        assert answer.keys() - set(HEADERS) in ({"status", "body"}, {"status", "text"}, {"status", "latin1"})
    if "polls" in recording:
        assert len(recording["states"]) == len(recording["answers"]) - 1
        assert len(recording.get("sees", recording["states"])) == len(recording["states"])
        assert "refused" not in recording
        assert ("refunded" in recording) == (recording["states"][-1] == "failed")
    else:
        assert not OF_TASKS & recording.keys()
    words = [word.removeprefix("error:") for word in expected_words(recording) if word.startswith("error:")]
    assert all(issubclass(getattr(aimusic_async, word), aimusic_async.ApiError) for word in words)
    # Without a claim about the end, a recording would prove nothing.
    assert recording.keys() & {"gives", "refused", "refunded"} or words
