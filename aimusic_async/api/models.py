"""The known music models (`mv`), and what each allows. Unknown ones pass: models are data, not a closed list."""

from __future__ import annotations

import attrs


@attrs.frozen
class SonicModel:
    """What one sonic model takes; lengths in characters."""

    id: str
    prompt: int = 5000
    tags: int = 1000
    vocal_gender: bool = True
    overpainting: bool = True
    """Whether it can add vocals or an instrumental."""
    only_at: frozenset[str] = frozenset()
    """The endpoints that take it; all, when empty."""


SONIC_V3_5 = "sonic-v3-5"
SONIC_V4 = "sonic-v4"
SONIC_V4_5 = "sonic-v4-5"
SONIC_V4_5_ALL = "sonic-v4-5-all"
SONIC_V4_5_PLUS = "sonic-v4-5-plus"
SONIC_V5 = "sonic-v5"
SONIC_V5_5 = "sonic-v5-5"
SONIC_V6 = "sonic-v6"
SONIC_V6_WILD = "sonic-v6-wild"
SONIC_V6_MINI = "sonic-v6-mini"

SONIC_MODELS: dict[str, SonicModel] = {
    model.id: model
    for model in (
        SonicModel(SONIC_V3_5, prompt=3000, tags=200, vocal_gender=False, overpainting=False),
        SonicModel(SONIC_V4, prompt=3000, tags=200, vocal_gender=False, overpainting=False),
        SonicModel(SONIC_V4_5, overpainting=False),
        SonicModel(SONIC_V4_5_ALL, only_at=frozenset({"/sonic/sample", "/sonic/mashup"})),
        *map(
            SonicModel,
            (SONIC_V4_5_PLUS, SONIC_V5, SONIC_V5_5, SONIC_V6, SONIC_V6_WILD, SONIC_V6_MINI),
        ),
    )
}


def canonical(mv: str) -> str:
    """Return the `sonic-` spelling of a model that may be spelt `chirp-`; answers use either."""
    return "sonic-" + mv.removeprefix("chirp-") if mv.startswith("chirp-") else mv


def sonic_model(mv: str) -> SonicModel | None:
    """Return what is known of a model, None when nothing is."""
    return SONIC_MODELS.get(canonical(mv))
