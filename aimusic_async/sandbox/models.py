"""What is known about models: which texts they take, which names are aliases."""

from collections.abc import Mapping

from attrs import frozen


@frozen
class SonicModel:
    """How many characters a Sonic model takes, and whether the singer's gender can be asked for."""

    prompt: int
    tags: int
    vocal_gender: bool


_OLD = SonicModel(prompt=3000, tags=200, vocal_gender=False)
_NEW = SonicModel(prompt=5000, tags=1000, vocal_gender=True)

SONIC: Mapping[str, SonicModel] = {
    "sonic-v3-5": _OLD,
    "sonic-v4": _OLD,
    "sonic-v4-5": _NEW,
    "sonic-v4-5-plus": _NEW,
    "sonic-v5": _NEW,
}
SONIC_LATER = ("sonic-v5-5", "sonic-v6", "sonic-v6-wild", "sonic-v6-mini")
"""Models that came later."""
SAMPLING = ("sonic-v4-5-all",)
"""Models for samples and mashups alone; they came later, too."""

OVERPAINTING = ("sonic-v4-5-plus", "sonic-v5", *SONIC_LATER)
"""Models that can add a voice or a backing to an uploaded clip."""

VARIATIONS_FROM = "sonic-v5"
"""The first model that takes `variation_category`."""

PRODUCER = (
    "FUZZ-2.0 Pro",
    "FUZZ-2.0",
    "FUZZ-2.0 Raw",
    "FUZZ-1.1 Pro",
    "FUZZ-1.1",
    "FUZZ-1.0 Pro",
    "FUZZ-1.0",
    "FUZZ-0.8",
)
PRODUCER_LATER = ("Lyria 3 preview", "Lyria 3 Pro", "FUZZ-3-Demo")
"""Models that came later; the older names stand for the newest of them since."""

RIFFUSION = ("FUZZ-1.1 Pro", "FUZZ-1.1", "FUZZ-1.0 Pro", "FUZZ-1.0")


def sonic_name(mv: str) -> str:
    """`sonic-v5` for both `sonic-v5` and its alias `chirp-v5`."""
    return "sonic-" + mv.removeprefix("chirp-") if mv.startswith("chirp-") else mv


def sonic_model(mv: object) -> SonicModel:
    """What is known about `mv`; a model that is not in the table is taken for a new one."""
    return SONIC.get(sonic_name(mv), _NEW) if isinstance(mv, str) else _NEW


def spelled(mv: str, spelling: str) -> str:
    """`mv` as answers spell it: "sent" leaves it, "sonic" and "chirp" force one spelling."""
    if spelling == "sent":
        return mv
    name = sonic_name(mv)
    return name if spelling == "sonic" else "chirp-" + name.removeprefix("sonic-")
