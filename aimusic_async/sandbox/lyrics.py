"""Lyrics on their own: two candidates for one description, at once."""

from aimusic_async.sandbox import texts, words
from aimusic_async.sandbox.desk import Operation, Platform, Visit
from aimusic_async.sandbox.rules import always, text
from aimusic_async.sandbox.texts import Answer


def generate(visit: Visit) -> Answer:
    """Two songs' words about the same thing."""
    description = str(visit.body["description"])
    results = [
        {"title": title, "lyrics": words.lyrics_about(description, visit.chance)}
        for title in (words.title_of(description), f"{words.title_of(description)} (Again)")
    ]
    body = {"code": 200, "message": "success", "results": results}
    answer = Answer(body=body, after=visit.answer_seconds())
    visit.take()
    return answer


GENERATE = Operation(
    name="lyrics.generate_lyrics",
    path="/sonic/lyrics",
    fields=(
        text(
            "description",
            most=lambda _body, options: options.lyrics_description_max,
            required=always,
            missing=texts.DESCRIPTION_REQUIRED,
        ),
    ),
    moderated=lambda body: ((), (body["description"],)),
    handler=generate,
)

PLATFORM = Platform(family=None, operations=(GENERATE,))
