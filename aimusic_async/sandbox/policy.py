"""Content that the sandbox refuses: marker words that stand for what the real moderation looks for."""

from collections.abc import Iterable

from attrs import field, frozen, validators

from aimusic_async.sandbox import texts

_words = validators.deep_iterable(validators.instance_of(str), validators.instance_of(tuple))


@frozen(kw_only=True)
class ContentPolicy:
    """Which words in lyrics or descriptions are answered with which 403; upper and lower case are one."""

    artist_names: tuple[str, ...] = field(default=("Vela Marrow", "The Paper Harbours"), validator=_words)
    """In a description: an artist's name (these are invented)."""
    producer_tags: tuple[str, ...] = field(default=("kilo nine on the beat",), validator=_words)
    """In a description: a producer's tag."""
    moderated: tuple[str, ...] = field(default=("needs-moderation",), validator=_words)
    """In a description: what a person would have to review."""
    copyrighted: tuple[str, ...] = field(default=("neon parish bells",), validator=_words)
    """In lyrics: somebody else's words."""
    inappropriate: tuple[str, ...] = field(default=("frobscene",), validator=_words)
    """In lyrics: what nobody should sing."""
    malformed: tuple[str, ...] = field(default=("[[",), validator=_words)
    """In lyrics: what cannot be read as lyrics."""

    def objection(self, *, lyrics: Iterable[str], descriptions: Iterable[str]) -> str | None:
        """The message of the first rule that a text breaks, or None."""
        sung, described = "\n".join(lyrics), "\n".join(descriptions)
        rules = (
            (sung, self.malformed, texts.LYRICS_FORMAT),
            (sung, self.copyrighted, texts.LYRICS_COPYRIGHTED),
            (sung, self.inappropriate, texts.LYRICS_INAPPROPRIATE),
            (described, self.moderated, texts.DESCRIPTION_MODERATED),
            (described, self.artist_names, texts.DESCRIPTION_ARTIST),
            (described, self.producer_tags, texts.DESCRIPTION_PRODUCER_TAG),
        )
        for text, words, message in rules:
            for word in words:
                at = text.casefold().find(word.casefold())
                if at >= 0:
                    return message.format(text[at : at + len(word)])
        return None
