"""The random worlds find faults: each one that the package once had, put back in, shows within some seeds."""

import pytest

from .old_faults import OLD_FAULTS
from .voyages import live

SHOWS_AS = {"late-refusal": "paid twice", "budget-snapshot": "budget exceeded", "missing-wake-up": "was not woken"}
WITHIN = {"late-refusal": 300, "budget-snapshot": 60, "missing-wake-up": 60}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", OLD_FAULTS)
def test_an_old_fault_is_found(name):
    for seed in range(WITHIN[name]):
        if any(SHOWS_AS[name] in fault for fault in live(seed, mutate=name).faults):
            return
    pytest.fail(f"{name} was not found within {WITHIN[name]} seeds")
