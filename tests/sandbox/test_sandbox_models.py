"""Model names, their aliases and their limits."""

import pytest

from aimusic_async.sandbox import models


@pytest.mark.parametrize(
    ("mv", "name"), [("chirp-v5", "sonic-v5"), ("sonic-v4-5-plus", "sonic-v4-5-plus"), ("FUZZ-2.0", "FUZZ-2.0")]
)
def test_aliases_are_one_model(mv, name):
    assert models.sonic_name(mv) == name


@pytest.mark.parametrize(
    ("mv", "limits"),
    [("chirp-v4", (3000, 200, False)), ("sonic-v4-5", (5000, 1000, True)), ("sonic-v9", (5000, 1000, True))],
)
def test_old_models_take_less(mv, limits):
    model = models.sonic_model(mv)
    assert (model.prompt, model.tags, model.vocal_gender) == limits
