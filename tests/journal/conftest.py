"""Fixtures of the journals' tests."""

import pytest

from .places import PLACES


@pytest.fixture(params=PLACES, ids=lambda place: place.__name__.lower())
def place(request, tmp_path):
    return request.param(tmp_path)


@pytest.fixture
async def journal(place):
    async with place.open() as journal:
        yield journal
