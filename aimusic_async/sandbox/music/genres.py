"""What each genre likes: tempo, groove, key, the parts that carry it and their sounds. Data only."""

from collections.abc import Mapping

import attrs

INSTRUMENTS: dict[str, tuple[str, ...]] = {
    "Backing Vocals": ("choir", "harmonies", "backing vocals", "gospel", "chant", "choral"),
    "Drums": ("drums", "drum", "beat", "beats", "breakbeat"),
    "Bass": ("bass", "808", "sub bass", "bassline", "contrabass", "double bass"),
    "Guitar": ("guitar", "guitars", "ukulele", "banjo", "strumming"),
    "Keyboard": ("piano", "keys", "keyboard", "organ", "rhodes", "electric piano", "harpsichord", "celesta"),
    "Percussion": ("percussion", "shaker", "congas", "bongos", "tambourine", "claps", "marimba"),
    "Strings": ("strings", "violin", "violins", "viola", "cello", "orchestra", "orchestral", "string quartet"),
    "Synth": ("synth", "synths", "synthesizer", "pads", "arpeggio", "arpeggios", "analog", "synthwave"),
    "FX": ("fx", "risers", "glitch", "soundscape"),
    "Brass": ("brass", "trumpet", "trumpets", "horns", "horn", "trombone", "tuba"),
    "Woodwinds": ("flute", "clarinet", "woodwind", "woodwinds", "sax", "saxophone", "oboe", "whistle", "bassoon"),
}
"""The words in tags that ask for a part."""

TIMBRES_OF: dict[str, dict[str, tuple[str, ...]]] = {
    "Bass": {
        "finger bass": ("bass guitar", "electric bass"),
        "upright bass": ("upright bass", "double bass", "contrabass"),
        "synth bass": ("synth bass", "acid"),
        "sub bass": ("sub bass", "808", "deep bass"),
    },
    "Guitar": {
        "steel guitar": ("acoustic guitar", "acoustic", "banjo"),
        "nylon guitar": ("nylon", "classical guitar", "ukulele", "spanish guitar"),
        "clean guitar": ("clean guitar", "electric guitar"),
        "overdriven guitar": ("distorted", "distortion", "overdriven", "heavy", "metal", "distorted guitar"),
    },
    "Keyboard": {
        "piano": ("piano", "grand piano"),
        "electric piano": ("rhodes", "electric piano", "wurlitzer", "celesta"),
        "organ": ("organ", "hammond"),
    },
    "Strings": {"string ensemble": ("strings", "orchestra"), "cello": ("cello", "viola")},
    "Synth": {
        "warm pad": ("pads", "pad", "ambient"),
        "pluck synth": ("pluck", "arpeggio", "arpeggios"),
        "saw lead": ("analog", "trance", "supersaw"),
        "square lead": ("chiptune", "8 bit", "retro", "arcade"),
    },
    "Brass": {"brass section": ("brass", "horns"), "trumpet": ("trumpet", "trumpets")},
    "Woodwinds": {
        "flute": ("flute", "whistle"),
        "clarinet": ("clarinet", "oboe", "bassoon"),
        "saxophone": ("sax", "saxophone"),
    },
}
"""The sounds that each pitched part can have, and the words in tags that ask for one."""


@attrs.frozen(eq=False)
class Genre:
    """How a kind of music usually goes. The tags and the seed decide within it."""

    words: tuple[str, ...]
    bpm: tuple[float, float]
    groove: str
    core: tuple[str, ...]
    leads: tuple[str, ...]
    sounds: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    beats: int = 4
    swing: float = 0.0
    """How far the second half of a beat is delayed, as a share of half a beat (1/3 is a triplet)."""
    minor: float = 0.5
    modal: float = 0.2
    sevenths: float = 0.1
    drums: int = 1
    """From 0, drums all along, to 4, only where the song is fullest."""
    pump: float = 0.0
    """How deep the kick presses the other parts down, 0-1."""
    room: float = 1.3
    """Length of the reverberation in seconds."""


GENRES: tuple[Genre, ...] = (
    Genre(
        words=("drum and bass", "drum bass", "dnb", "d b", "jungle", "breakcore", "liquid funk"),
        bpm=(168, 176),
        groove="breakbeat",
        core=("Bass", "Synth", "Keyboard"),
        leads=("Synth", "Keyboard"),
        sounds={
            "Bass": ("sub bass", "synth bass"),
            "Synth": ("warm pad", "pluck synth"),
            "Keyboard": ("electric piano",),
        },
        minor=0.8,
        sevenths=0.5,
        drums=0,
        pump=0.2,
    ),
    Genre(
        words=("lo fi", "lofi", "chillhop", "study", "chill", "trip hop"),
        bpm=(70, 86),
        groove="laid back",
        core=("Keyboard", "Bass", "Guitar"),
        leads=("Keyboard", "Woodwinds", "Guitar"),
        sounds={
            "Keyboard": ("electric piano", "piano"),
            "Bass": ("upright bass", "finger bass"),
            "Guitar": ("nylon guitar", "clean guitar"),
        },
        swing=0.2,
        minor=0.55,
        modal=0.4,
        sevenths=1.0,
        drums=1,
    ),
    Genre(
        words=("trap", "hip hop", "hiphop", "rap", "drill", "boom bap", "phonk"),
        bpm=(78, 96),
        groove="hip hop",
        core=("Bass", "Keyboard", "Synth"),
        leads=("Synth", "Keyboard", "Strings"),
        sounds={"Bass": ("sub bass",), "Synth": ("pluck synth", "square lead")},
        minor=0.85,
        drums=0,
    ),
    Genre(
        words=(
            *(
                "house",
                "techno",
                "edm",
                "dance",
                "club",
                "trance",
                "disco",
                "eurodance",
                "electro",
                "electronic",
                "rave",
            ),
            *("dubstep", "hardstyle"),
        ),
        bpm=(118, 130),
        groove="four on the floor",
        core=("Bass", "Synth", "Keyboard"),
        leads=("Synth", "Keyboard"),
        sounds={
            "Bass": ("synth bass", "sub bass"),
            "Synth": ("pluck synth", "saw lead"),
            "Keyboard": ("piano", "organ"),
        },
        minor=0.6,
        sevenths=0.3,
        drums=0,
        pump=0.55,
    ),
    Genre(
        words=("ambient", "meditation", "drone", "new age", "sleep", "relaxing", "atmospheric", "ethereal"),
        bpm=(60, 76),
        groove="sparse",
        core=("Synth", "Strings", "Keyboard"),
        leads=("Keyboard", "Woodwinds", "Strings"),
        sounds={"Synth": ("warm pad",), "Bass": ("sub bass",), "Guitar": ("clean guitar", "nylon guitar")},
        modal=0.5,
        sevenths=0.6,
        drums=3,
        room=2.6,
    ),
    Genre(
        words=("waltz", "3 4", "musette"),
        bpm=(108, 150),
        groove="waltz",
        core=("Keyboard", "Bass", "Strings"),
        leads=("Strings", "Woodwinds", "Keyboard"),
        beats=3,
        minor=0.5,
        drums=2,
    ),
    Genre(
        words=("reggae", "dub", "ska", "dancehall", "rocksteady"),
        bpm=(70, 88),
        groove="one drop",
        core=("Bass", "Guitar", "Keyboard"),
        leads=("Brass", "Keyboard", "Guitar"),
        sounds={"Keyboard": ("organ",), "Guitar": ("clean guitar",), "Bass": ("finger bass", "sub bass")},
        swing=0.12,
        minor=0.45,
        drums=0,
    ),
    Genre(
        words=("jazz", "swing", "bebop", "blues", "big band", "ragtime"),
        bpm=(100, 148),
        groove="swing",
        core=("Bass", "Keyboard", "Brass"),
        leads=("Woodwinds", "Brass", "Keyboard"),
        sounds={
            "Bass": ("upright bass",),
            "Keyboard": ("piano",),
            "Woodwinds": ("saxophone", "clarinet"),
            "Guitar": ("clean guitar",),
        },
        swing=0.3,
        minor=0.4,
        modal=0.4,
        sevenths=1.0,
    ),
    Genre(
        words=(
            "latin",
            "bossa nova",
            "bossa",
            "samba",
            "salsa",
            "reggaeton",
            "cumbia",
            "afrobeat",
            "flamenco",
            "tango",
        ),
        bpm=(94, 126),
        groove="latin",
        core=("Guitar", "Bass", "Keyboard"),
        leads=("Woodwinds", "Guitar", "Brass"),
        sounds={
            "Guitar": ("nylon guitar",),
            "Keyboard": ("piano", "electric piano"),
            "Bass": ("upright bass", "finger bass"),
        },
        minor=0.6,
        sevenths=0.6,
    ),
    Genre(
        words=("funk", "soul", "r b", "rnb", "motown", "groove", "groovy", "neo soul"),
        bpm=(92, 114),
        groove="funk",
        core=("Bass", "Guitar", "Keyboard"),
        leads=("Brass", "Woodwinds", "Keyboard"),
        sounds={"Bass": ("finger bass",), "Guitar": ("clean guitar",), "Keyboard": ("electric piano", "organ")},
        swing=0.08,
        modal=0.7,
        sevenths=0.9,
        drums=0,
    ),
    Genre(
        words=("rock", "metal", "punk", "grunge", "hard rock", "garage", "emo", "hardcore"),
        bpm=(116, 156),
        groove="rock",
        core=("Guitar", "Bass", "Keyboard"),
        leads=("Guitar", "Synth"),
        sounds={"Guitar": ("overdriven guitar",), "Bass": ("finger bass",), "Keyboard": ("organ", "piano")},
        drums=0,
        room=1.0,
    ),
    Genre(
        words=("folk", "country", "acoustic", "singer songwriter", "americana", "bluegrass", "celtic", "campfire"),
        bpm=(86, 118),
        groove="folk",
        core=("Guitar", "Bass", "Strings"),
        leads=("Woodwinds", "Strings", "Guitar"),
        sounds={
            "Guitar": ("steel guitar", "nylon guitar"),
            "Bass": ("upright bass", "finger bass"),
            "Woodwinds": ("flute",),
        },
        minor=0.3,
        drums=2,
    ),
    Genre(
        words=(
            "cinematic",
            "orchestral",
            "classical",
            "epic",
            "soundtrack",
            "symphonic",
            "trailer",
            "score",
            "baroque",
        ),
        bpm=(72, 104),
        groove="cinematic",
        core=("Strings", "Brass", "Keyboard"),
        leads=("Strings", "Brass", "Woodwinds"),
        sounds={"Bass": ("upright bass", "sub bass"), "Keyboard": ("piano",), "Synth": ("warm pad",)},
        minor=0.65,
        drums=2,
        room=2.2,
    ),
    Genre(
        words=("synthwave", "synth pop", "synthpop", "80s", "new wave", "retrowave", "chiptune", "electropop"),
        bpm=(98, 120),
        groove="synthwave",
        core=("Synth", "Bass", "Keyboard"),
        leads=("Synth", "Guitar"),
        sounds={
            "Bass": ("synth bass",),
            "Synth": ("saw lead", "pluck synth", "square lead"),
            "Keyboard": ("electric piano",),
        },
        minor=0.65,
        drums=0,
        pump=0.25,
    ),
    Genre(
        words=("ballad", "lullaby", "torch song", "love song"),
        bpm=(62, 80),
        groove="ballad",
        core=("Keyboard", "Strings", "Bass"),
        leads=("Keyboard", "Strings", "Woodwinds"),
        sounds={"Keyboard": ("piano",), "Bass": ("finger bass", "upright bass")},
        minor=0.4,
        drums=2,
        room=1.8,
    ),
    Genre(
        words=("pop", "indie", "k pop", "j pop", "dream pop", "anthem"),
        bpm=(98, 124),
        groove="pop",
        core=("Keyboard", "Bass", "Guitar"),
        leads=("Synth", "Guitar", "Keyboard"),
        sounds={"Keyboard": ("piano", "electric piano"), "Guitar": ("clean guitar", "steel guitar")},
        minor=0.35,
        drums=0,
    ),
)
"""Looked through in this order: the first genre that one of the tags names is taken."""

FALLBACKS = ("laid back", "four on the floor", "funk", "rock", "folk", "synthwave", "ballad", "pop", "pop")
"""The grooves of the genres that are drawn from when the tags name none."""
