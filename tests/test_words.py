"""The words of the project: one term for one thing. Old names and phrases must not come back anywhere."""

import re
from pathlib import Path

HERE = Path(__file__).parent.parent
PLACES = ("aimusic_async/**/*.py", "benchmarks/*.py", "examples/*.py", "README.md", "CHANGELOG.md", "noxfile.py")

GONE = (  # each with the word to use instead
    (r"\b_?(Keeper|keeper)\b", "writer, lifecycle"),
    (r"\b_?(Mailbox|mailbox)\b", "webhook inbox"),
    (r"\b_?(Purse|purse)\b", "budget ledger"),
    (r"\b_?(Shortage|shortages?)\b", "credit hold"),
    (r"\b_?(Intake|Workbench|Progressing|Opener|opener)\b", "(gone)"),
    (r"\b(Doubt|[Dd]oubted|in doubt)\b", "outcome unknown"),
    (r"\b_?(not_looked|look_now|LAST_LOOK)\b|\.looked\b", "polled"),
    (r"\b[Ll]ook(s|ed|ing)? at (a|an|each|every|one|the|its|this) task\b", "poll"),
    (r"\b(task|tasks|it) (is|are|was|were) looked at\b", "polled"),
    (r"\btold\(|\btold\b ?(:?=[^=]|: [A-Za-z\[]+ =)", "describe_error, message, reason"),
    (r"\b(is|are|was|were|be|been|being|get|gets) told\b", "reports, logs, raises, is called with"),
    (r"\b[Ff]ore(told|tells?)\b", "predict"),
    (r"\b([Mm]ade?|[Mm]akes?|[Ss]ent|[Ss]ends?) ((it|them|one|a job) )?anew\b", "sends it again"),
    (r"\b([Tt]ake|[Tt]akes|[Tt]aken|[Tt]aking|[Tt]ook) ((it|them|one|a job|jobs) )?up\b(?! to\b)", "adopt"),
    (r"\b[Rr]ecall(s|ed|ing)?\b", "restore"),
)


def found(text, pattern):
    """Yield the lines on which a phrase begins; it may go on in the next line, also of a comment."""
    for match in re.finditer(pattern.replace(" ", r"(?: |\s*\n\s*(?:# )?)"), text):
        yield text.count("\n", 0, match.start()) + 1


def test_old_words_do_not_come_back():
    faults = [
        f"{path.relative_to(HERE)}:{line}: {text.splitlines()[line - 1].strip()!r}; say: {instead}"
        for place in PLACES
        for path in sorted(HERE.glob(place))
        for text in [path.read_text("utf-8")]
        for pattern, instead in GONE
        for line in dict.fromkeys(found(text, pattern))
    ]
    assert not faults, "\n".join(["old words:", *faults])


def test_a_phrase_is_found_across_lines():
    assert [*found("one\n    # a job is\n    # told so", r"\bis told\b")] == [2]
    assert [*found("it takes up to a minute", GONE[-2][0])] == []
