"""Fixtures and repairs that several test files share."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import aioresponses.core
import aiohttp
import pytest


class _ClientResponse(aiohttp.ClientResponse):
    """aiohttp 3.14 made `stream_writer` a required argument of its responses; aioresponses 0.7.9 does not pass it."""

    def __init__(self, *args, stream_writer=None, **kwargs):
        super().__init__(*args, stream_writer=stream_writer or SimpleNamespace(output_size=0), **kwargs)


if "stream_writer" in inspect.signature(aiohttp.ClientResponse.__init__).parameters:
    aioresponses.core.ClientResponse = _ClientResponse


@pytest.fixture(autouse=True)
def no_key_from_outside(monkeypatch):
    """A developer's own key must not decide a test."""
    monkeypatch.delenv("AIMUSIC_API_KEY", raising=False)
    monkeypatch.delenv("AIMUSIC_BASE_URL", raising=False)
