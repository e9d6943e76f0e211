"""The random worlds find faults: each one that the package once had, put back in, shows within some seeds."""

import pytest

from .old_faults import OLD_FAULTS
from .voyages import live

SHOWS_AS = {"late-refusal": "paid twice", "budget-snapshot": "budget exceeded", "missing-wake-up": "was not woken"}
WITHIN = 200


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", OLD_FAULTS)
def test_an_old_fault_is_found(name):
    crowded = True if name == "late-refusal" else None  # it takes several processes that want the same song
    for seed in range(WITHIN):
        found = set(live(seed, mutate=name, crowded=crowded).faults)
        if any(SHOWS_AS[name] in fault for fault in found - set(live(seed, crowded=crowded).faults)):
            return
    pytest.fail(f"{name} was not found within {WITHIN} seeds")
