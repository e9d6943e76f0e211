"""Lyrics as something to sing: blocks under their tags, lines, words, and the syllables of each word."""

import re
import unicodedata

import attrs

_TOKEN = re.compile(r"(?P<tag>\[[^\[\]\n]*\])|(?P<space>\s+)|(?P<word>(?:(?!\[[^\[\]\n]*\])\S)+)")
_TAG = re.compile(r"\[[^\[\]\n]*\]")
_SYLLABLE = re.compile(r"[^aeiouy]*[aeiouy]+(?:[^aeiouy]+$|[^aeiouy](?=[^aeiouy]))?")
_VOWEL = re.compile(r"[aeiouy]")
_SPOKEN_E = re.compile(r"[^aeiouy]le$")  # "table", but not "smile"
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n")

_KINDS = (  # the first word that is found in a tag names the kind of its section
    ("pre", "build"),
    ("build", "build"),
    ("chorus", "chorus"),
    ("hook", "chorus"),
    ("refrain", "chorus"),
    ("drop", "chorus"),
    ("verse", "verse"),
    ("bridge", "bridge"),
    ("break", "break"),
    ("solo", "break"),
    ("interlude", "break"),
    ("instrumental", "break"),
    ("intro", "intro"),
    ("outro", "outro"),
    ("end", "outro"),
)
_UNTAGGED = ("verse", "chorus", "verse", "chorus", "bridge", "chorus")
_OTHER_VOWELS = str.maketrans("аеёиоуыэюяαεηιουω", "aeoioiieuaaeiioyo")


@attrs.frozen
class Sung:
    """A word to sing: the pieces of lyrics that it stands for, the last of which is the word itself."""

    pieces: tuple[str, ...]
    syllables: tuple[str, ...]


@attrs.frozen
class Line:
    """Words sung in one breath."""

    words: tuple[Sung, ...]
    syllables: int


@attrs.frozen
class Block:
    """The lines under one section tag; a tag alone makes a block without lines."""

    kind: str
    lines: tuple[Line, ...]


def parse(text: str) -> tuple[Block, ...]:
    """Cut lyrics into blocks. Every character of the text is kept in some piece, if there is anything to sing."""
    blocks: list[tuple[str | None, list[list[list[str]]]]] = []  # kind, lines of words of [before, word, after]
    before, after_break, last = "", True, None
    for token in _TOKEN.finditer(text):
        piece = token.group()
        if token.lastgroup == "tag":
            blocks.append((kind_of(piece), []))
            before, after_break = before + piece, True
        elif token.lastgroup == "space":
            if _BLANK_LINE.search(piece) and blocks and blocks[-1][0] is None:
                blocks.append((None, []))
            after_break = after_break or "\n" in piece
            if before or last is None:
                before += piece
            else:
                last[2] += piece
        else:
            if not blocks:
                blocks.append((None, []))
            lines = blocks[-1][1]
            if after_break or not lines:
                lines.append([])
            last = [before, piece, ""]
            lines[-1].append(last)
            before, after_break = "", False
    if last is not None:
        last[2] += before  # a tag with nothing after it
    return _named([(kind, [_line(words) for words in lines]) for kind, lines in blocks])


def only_tags(text: str) -> bool:
    """Whether there are section tags, and nothing else to sing."""
    return bool(text.strip()) and not _TAG.sub("", text).strip()


def _named(blocks: list[tuple[str | None, list[Line]]]) -> tuple[Block, ...]:
    """Give stanzas without tags a kind in turn; one long stanza alone is halved into verse and chorus."""
    plain = [lines for kind, lines in blocks if kind is None and lines]
    if len(plain) == 1 and len(blocks) == 1 and len(plain[0]) > 3:
        half = len(plain[0]) // 2
        return (Block("verse", tuple(plain[0][:half])), Block("chorus", tuple(plain[0][half:])))
    named, turn = [], 0
    for kind, lines in blocks:
        if kind is not None:
            named.append(Block(kind, tuple(lines)))
        elif lines:
            named.append(Block(_UNTAGGED[turn % len(_UNTAGGED)], tuple(lines)))
            turn += 1
    return tuple(named)


def _line(words: list[list[str]]) -> Line:
    sung = tuple(Sung(_pieces(before, word + after), syllables(word)) for before, word, after in words)
    return Line(sung, sum(len(word.syllables) for word in sung))


def _pieces(before: str, word: str) -> tuple[str, ...]:
    """A tag stays with the word behind it; one that has a space inside is split there, as the service does."""
    cut = before.find(" ", before.find("[") + 1) + 1
    if cut and before.find("]") > cut:
        return (before[:cut], before[cut:] + word)
    return (before + word,)


def kind_of(tag: str) -> str:
    """The kind of section that a tag like "[Verse 2]" opens."""
    lowered = tag.lower()
    return next((kind for word, kind in _KINDS if word in lowered), "verse")


def syllables(word: str) -> tuple[str, ...]:
    """The sounds of a word, one or more: by vowels where letters have them, one for each character elsewhere."""
    letters = unicodedata.normalize("NFKD", word.lower()).translate(_OTHER_VOWELS)
    letters = unicodedata.normalize("NFC", "".join(letter for letter in letters if letter.isalnum()))
    if not letters:
        return (word[:1],)
    if not letters.isalpha() or max(letters) >= "\u0e00":
        return tuple(letters)  # digits, and scripts that write a syllable with each sign
    if _VOWEL.search(letters) is None:  # "hmm" is one sound; alphabets that leave the vowels out are read by pairs
        return (letters,) if letters.isascii() else tuple(letters[at : at + 2] for at in range(0, len(letters), 2))
    silent = letters[-1] == "e" and letters[-2:-1] not in "aeiouy" and not _SPOKEN_E.search(letters)
    if silent and _VOWEL.search(letters, 0, len(letters) - 1):  # as in "line", but not in "the"
        letters = letters[:-1]
    return tuple(_SYLLABLE.findall(letters))


def sound(syllable: str) -> tuple[str, str]:
    """How a syllable sounds: its vowel (one of a e i o u) and the consonant that opens it, or ""."""
    for at, letter in enumerate(syllable):
        if letter in "aeiouy":
            return ("i" if letter == "y" else letter, syllable[0] if at and syllable[0].isascii() else "")
    return ("aeiou"[ord(syllable[0]) % 5] if syllable else "a", "")
