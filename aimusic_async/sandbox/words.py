"""Makes up titles, tags and lyrics where a request leaves them to the service. Pure."""

import re
from random import Random

INSTRUMENTAL = "[Instrumental]"

_LEADS = re.compile(
    r"^(please\s+)?((write|make|create|compose|give)\s+(me\s+)?)?(an?|the|some)?\s*"
    r"(song|track|tune|ballad|piece|music|lyrics)\s+(about|for|of|on|with)\s+",
    re.IGNORECASE,
)
_OPENINGS = (
    "I woke up early thinking of {it}",
    "All the windows open, {it} coming in",
    "There is a road that leads to {it}",
    "Somebody left the light on for {it}",
)
_ANSWERS = (
    "and nothing on the radio to say",
    "with half the morning in my hands",
    "and every clock in town forgot the day",
    "while the kettle sings the only tune it can",
)
_HOOKS = (
    "Oh, {it}, carry me along",
    "Here it comes again, {it}, here it comes",
    "Turn it up for {it}, turn it up",
)
_ECHOES = (
    "we were never going home till dawn",
    "hold the note until the morning comes",
    "leave a little silence in the cup",
)
_TURNS = ("Maybe it is only {it}", "Count the rooms and count the rain", "What I had I gave to {it}")
_STYLES = ("warm", "bright synths", "steady beat", "close harmonies", "wide reverb", "picked guitar", "soft piano")
_COLOURS = ("layered vocals", "driving rhythm", "lush pads", "punchy drums", "analog warmth", "airy strings")


def subject(description: str) -> str:
    """What a description is about, in at most seven words."""
    return " ".join(_LEADS.sub("", description.strip()).rstrip(".!?").split()[:7]) or "nothing at all"


def title_of(text: str) -> str:
    """A title from a description or from lyrics: the first words that are sung."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("[")]
    chosen = " ".join(re.findall(r"[^\W_][\w'’-]*", subject(lines[0]))[:4]) if lines else ""
    return chosen.title() or "Untitled"


def lyrics_about(description: str, chance: Random) -> str:
    """Simple lyrics about what the description says: a verse, a chorus, a verse, a chorus again."""
    it = subject(description)
    chorus = f"[Chorus]\n{chance.choice(_HOOKS)}\n{chance.choice(_ECHOES)}"
    first, second = chance.sample(_OPENINGS, 2)
    answer, other = chance.sample(_ANSWERS, 2)
    song = (
        f"[Verse]\n{first}\n{answer}",
        chorus,
        f"[Verse 2]\n{second}\n{other}\n{chance.choice(_TURNS)}",
        chorus,
    )
    return "\n\n".join(song).replace("{it}", it)


def tags_for(description: str, chance: Random) -> str:
    """Style tags for a description that came without."""
    return ", ".join([subject(description).lower()[:60], *chance.sample(_STYLES, 2)])


def richer(tags: str, chance: Random) -> str:
    """The same tags, and more of the kind."""
    return ", ".join([tags.strip(), *chance.sample(_STYLES, 2), *chance.sample(_COLOURS, 2)])
